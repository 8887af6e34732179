import { z } from 'zod';

export const flattenOutput = z.object({
  disks: z.array(
    z.object({
      index: z.int(),
      /** File name in the work directory: the empty qcow2 overlay (or the copy) that later stages read. */
      image: z.string(),
      format: z.enum(['qcow2']),
      /** Bytes. */
      virtual_size: z.int(),
      /** Bytes of used data in the source, as far as the format tells; null where it does not. */
      allocated: z.int().nullable(),
      /**
       * The most data that can be in it, bytes: by the formats' tables, else what its files take up on disk.
       */
      used_bytes: z.int(),
      controller: z.string().nullable(),
      /** Bytes of a logical sector: what the guest's partition table counts in. */
      sector_size: z.union([z.literal(512), z.literal(4096)]).default(512),
    }),
  ),
});
export type FlattenOutput = z.infer<typeof flattenOutput>;
