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
      /** Bytes of data used in the source; null if the format does not tell. */
      allocated: z.int().nullable(),
      /**
       * Upper limit on its data in bytes: by the formats' tables, otherwise by the disk usage of its files.
       */
      used_bytes: z.int(),
      controller: z.string().nullable(),
      /** Bytes of a logical sector: what the guest's partition table counts in. */
      sector_size: z.union([z.literal(512), z.literal(4096)]).default(512),
    }),
  ),
});
export type FlattenOutput = z.infer<typeof flattenOutput>;
