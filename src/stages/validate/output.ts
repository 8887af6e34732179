import { z } from 'zod';
import { bootSchema, contentSchema } from '../../model/boot.js';

/**
 * Of a VM: the boot, and the directory of its evidence. Of a data disk: the comparison, and nothing is called
 * booted.
 */
export const validateOutput = z.object({
  boot: bootSchema.nullable(),
  directory: z.string().nullable(),
  content: contentSchema.nullable().default(null),
});
export type ValidateOutput = z.infer<typeof validateOutput>;
