import { z } from 'zod';
import { jobSummarySchema } from './protocol.js';

/**
 * A line of `GET /v1/events`. Each event carries the whole new state of its subject. Of events that a slow
 * client has not read yet, only the last for each subject is kept. A client reads `open` first, then queries
 * the current state (`/v1/status`, `/v1/jobs`), then applies what follows, and so misses nothing.
 */
export const daemonEventSchema = z.discriminatedUnion('event', [
  /** The first line; all later events follow. */
  z.strictObject({ event: z.literal('open'), version: z.string() }),
  /** A job is new or has changed. */
  z.strictObject({ event: z.literal('job:changed'), job: jobSummarySchema }),
  z.strictObject({
    event: z.literal('job:progress'),
    job: z.string(),
    stage: z.string(),
    /** The current step; null if the stage does not report one. */
    step: z.string().nullable(),
    percent: z.number().nullable(),
    bytes_per_second: z.number().nullable(),
    eta_seconds: z.number().nullable(),
    waiting_for: z.string().nullable(),
  }),
  /** A drop in incoming is new, or waits for something else; its state is `waiting`. */
  z.strictObject({ event: z.literal('drop:waiting'), drop: jobSummarySchema }),
  /** A drop is no longer in incoming: it became a job or was removed. */
  z.strictObject({ event: z.literal('drop:gone'), drop: z.string() }),
  z.strictObject({ event: z.literal('queue:paused'), reason: z.enum(['operator', 'space']) }),
  z.strictObject({ event: z.literal('queue:resumed'), reason: z.enum(['operator', 'space']) }),
  z.strictObject({ event: z.literal('queue:draining') }),
]);

export type DaemonEvent = z.infer<typeof daemonEventSchema>;
