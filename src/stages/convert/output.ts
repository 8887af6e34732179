import { z } from 'zod';
import { deviceTrafficSchema, sourceFileSchema } from '../../model/report.js';
import { deliveredDiskSchema } from '../../model/storage.js';

export const convertOutput = z.object({
  disks: z.array(deliveredDiskSchema),
  /**
   * Every file that the stages read: the drop's, or those of its private copy. Absent in jobs that an older
   * version converted.
   */
  source: z.array(sourceFileSchema).optional(),
  /** Absent where the kernel does not count it, and in jobs that an older version converted. */
  device: deviceTrafficSchema.optional(),
});
export type ConvertOutput = z.infer<typeof convertOutput>;
