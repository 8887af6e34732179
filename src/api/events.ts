import { z } from 'zod';
import { jobSummarySchema } from './protocol.js';

/**
 * One line of `GET /v1/events`. Each event has the whole new state of its subject, and of events that a slow
 * client has not taken yet only the last about a subject is kept. A client reads `open` first, then asks for
 * what there is (`/v1/status`, `/v1/jobs`), then applies what follows: so nothing is missed.
 */
export const daemonEventSchema = z.discriminatedUnion('event', [
  /** The first line: what happens from now on follows. */
  z.strictObject({ event: z.literal('open'), version: z.string() }),
  /** A job is new or has changed. */
  z.strictObject({ event: z.literal('job:changed'), job: jobSummarySchema }),
  z.strictObject({
    event: z.literal('job:progress'),
    job: z.string(),
    stage: z.string(),
    /** What is being done now; null when the stage does not say. */
    step: z.string().nullable(),
    percent: z.number().nullable(),
    bytes_per_second: z.number().nullable(),
    eta_seconds: z.number().nullable(),
    waiting_for: z.string().nullable(),
  }),
  /** A drop in incoming is new, or waits for something else; its state is `waiting`. */
  z.strictObject({ event: z.literal('drop:waiting'), drop: jobSummarySchema }),
  /** No drop of that name is in incoming any more: it became a job, or somebody took it away. */
  z.strictObject({ event: z.literal('drop:gone'), drop: z.string() }),
  z.strictObject({ event: z.literal('queue:paused'), reason: z.enum(['operator', 'space']) }),
  z.strictObject({ event: z.literal('queue:resumed'), reason: z.enum(['operator', 'space']) }),
  z.strictObject({ event: z.literal('queue:draining') }),
]);

export type DaemonEvent = z.infer<typeof daemonEventSchema>;
