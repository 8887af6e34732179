import { z } from 'zod';
import { devicesSchema, plannedNicSchema, warningSchema } from '../model/plan.js';
import { operationSchema } from './registry.js';

/** The contents of plan.json. */
export const planSchema = z.object({
  version: z.literal(1),
  operations: z.array(operationSchema),
  warnings: z.array(warningSchema),
  devices: devicesSchema,
  nics: z.array(plannedNicSchema).default([]),
});
export type Plan = z.infer<typeof planSchema>;
