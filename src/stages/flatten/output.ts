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
    }),
  ),
});
export type FlattenOutput = z.infer<typeof flattenOutput>;
