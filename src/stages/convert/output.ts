import { z } from 'zod';
import { deliveredDiskSchema } from '../../model/storage.js';

export const convertOutput = z.object({ disks: z.array(deliveredDiskSchema) });
export type ConvertOutput = z.infer<typeof convertOutput>;
