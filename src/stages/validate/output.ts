import { z } from 'zod';
import { bootSchema, contentSchema } from '../../model/boot.js';

/** For a VM, the boot and the directory of its evidence. For a data disk, the comparison; `boot` is null. */
export const validateOutput = z.object({
  boot: bootSchema.nullable(),
  directory: z.string().nullable(),
  content: contentSchema.nullable().default(null),
});
export type ValidateOutput = z.infer<typeof validateOutput>;
