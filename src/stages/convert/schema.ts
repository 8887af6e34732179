import { z } from 'zod';

/** `file` is relative to the work directory (`out/<vm>-disk0.qcow2`). Sizes in bytes. */
export const convertOutput = z.object({
  disks: z.array(
    z.object({
      index: z.int(),
      file: z.string(),
      format: z.enum(['qcow2', 'raw', 'vdi', 'vmdk']),
      virtual_size: z.int(),
      allocated: z.int(),
      sha256: z.string(),
    }),
  ),
});
export type ConvertOutput = z.infer<typeof convertOutput>;
