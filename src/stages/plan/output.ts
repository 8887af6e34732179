import { z } from 'zod';
import { planSchema } from '../../operations/plan.js';

/** `plan_file` and `diff_file` are file names in the work directory. */
export const planOutput = z.object({ plan: planSchema, plan_file: z.string(), diff_file: z.string() });
export type PlanOutput = z.infer<typeof planOutput>;
