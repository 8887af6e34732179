import { z } from 'zod';

/** A disk that CONVERT wrote. `file` is relative to the work directory (`out/<vm>-disk0.qcow2`). Sizes in bytes. */
export const deliveredDiskSchema = z.object({
  index: z.int(),
  file: z.string(),
  format: z.enum(['qcow2', 'raw', 'vdi', 'vmdk']),
  virtual_size: z.int(),
  allocated: z.int(),
  sha256: z.string(),
});
export type DeliveredDisk = z.infer<typeof deliveredDiskSchema>;
