import { z } from 'zod';

/**
 * One way through the stages from PLAN on. `options` are what it changes in the job's, by dotted key (`fix.initramfs`),
 * as `retry --set` would; none in the first pass.
 */
const passSchema = z.object({
  /** Why the stages run with these options, in one sentence; null for the first pass. */
  reason: z.string().nullable(),
  options: z.record(z.string(), z.json()),
});
export type Pass = z.infer<typeof passSchema>;

/** A pass after which there was another one. */
const endedPassSchema = passSchema.extend({
  /** The output of the stage that asked for another pass; null if an earlier stage failed. */
  output: z.json().nullable(),
  /** Why an earlier stage failed. */
  error: z
    .object({
      code: z.string(),
      message: z.string(),
      advice: z.string(),
      retryable: z.boolean(),
      causes: z.array(z.string()),
    })
    .nullable(),
  /** Directory in the work directory with what the pass left as evidence; null if it left nothing. */
  directory: z
    .string()
    .regex(/^attempt-\d+$/)
    .nullable(),
});
export type EndedPass = z.infer<typeof endedPassSchema>;

/** All passes of a job so far. */
export const passesSchema = z.object({
  /** Content id of the first stage of a pass with the job's own options: other options begin anew. */
  base: z.string(),
  ended: z.array(endedPassSchema),
  current: passSchema,
});
export type Passes = z.infer<typeof passesSchema>;
