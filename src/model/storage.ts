import { z } from 'zod';

/** A file of this host, or a part of it, that holds bytes of a disk. */
const fileBytesSchema = z.object({
  type: z.literal('file'),
  /** What `path` is relative to: the directory of the drop, or the job's work directory. */
  place: z.enum(['drop', 'work']),
  path: z.string(),
  /** The relevant part of the file, in bytes: a member of an archive. */
  region: z.object({ offset: z.int(), size: z.int() }).optional(),
});
export type FileBytes = z.infer<typeof fileBytesSchema>;

/**
 * The location of a disk's bytes. A source that serves a disk instead of downloading it adds its kind of node
 * here.
 */
const diskBytesSchema = z.discriminatedUnion('type', [fileBytesSchema]);
export type DiskBytes = z.infer<typeof diskBytesSchema>;

/** A piece of a layer in a separate file, as the layer's descriptor lists it. Sizes and offsets in bytes. */
const extentSchema = z.object({
  /** The file's name as its owner knows it: `web01/web01-s001.vmdk`. */
  name: z.string(),
  /** `flat` is plain bytes; `sparse` and ESXi's `sesparse` have their own header and tables. */
  type: z.enum(['flat', 'sparse', 'sesparse']),
  /** How many bytes of the disk it holds. */
  size: z.int(),
  /** Where they begin in the file (flat only). */
  offset: z.int(),
  bytes: diskBytesSchema,
});

/** One state of a disk. Its headers and tables were read and validated, and need not be read again. */
const layerSchema = z.object({
  /** The file's name as its owner knows it: `web01/web01-000001.vmdk`, `web01.ova/disk1.vmdk`. */
  name: z.string(),
  /** Name of a format in disk/formats.ts. */
  format: z.string(),
  /** Bytes. */
  virtual_size: z.int(),
  /** VMDK's CID in lower-case hexadecimal; null if the format has none. */
  content_id: z.string().nullable(),
  /**
   * 32 lower-case hexadecimal digits, of which the hypervisor makes the disk's serial number; absent where it
   * has none.
   */
  uuid: z.string().optional(),
  bytes: diskBytesSchema,
  /** QEMU finds the grain directory only in a file that it opens itself, not in an extent of a descriptor. */
  footer: z.boolean(),
  /** Bytes of a logical sector, if the format declares it and it is not 512. */
  sector_size: z.literal(4096).optional(),
  /** In disk order; empty for a self-contained image. */
  extents: z.array(extentSchema),
  /** Bytes of the disk that it holds, by its tables; null if the format does not tell. */
  allocated: z.int().nullable(),
  /** Upper limit on its data in bytes: by its tables, otherwise by the disk usage of its files. */
  used_bytes: z.int(),
});
export type Layer = z.infer<typeof layerSchema>;

/** A disk: the newest state comes first, and the last one has no parent. */
export const chainSchema = z.object({ layers: z.array(layerSchema).min(1) });
export type Chain = z.infer<typeof chainSchema>;

/** Returns all locations of a disk's bytes. */
export function bytesOf({ layers }: Chain): DiskBytes[] {
  return layers.flatMap(({ bytes, extents }) => [bytes, ...extents.map((extent) => extent.bytes)]);
}

/**
 * A disk that CONVERT wrote. `file` is relative to the work directory (`out/<vm>-disk0.qcow2`). Sizes in
 * bytes.
 */
export const deliveredDiskSchema = z.object({
  index: z.int(),
  file: z.string(),
  format: z.enum(['qcow2', 'raw', 'vdi', 'vmdk']),
  virtual_size: z.int(),
  allocated: z.int(),
  sha256: z.string(),
  /** Bytes of a logical sector, where it is not 512: the VM must be given the disk so. */
  sector_size: z.literal(4096).optional(),
});
export type DeliveredDisk = z.infer<typeof deliveredDiskSchema>;
