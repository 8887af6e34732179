import { z } from 'zod';
import { remoteFactsSchema } from '../../../model/remote.js';
import { remoteSpec } from '../spec.js';

/**
 * What daemon and fetching unit say to each other: `POST /v1/land`, answered by one JSON object a line. The
 * daemon ends a fetch by ending the connection.
 */
export const landRequestSchema = z.object({
  /** The unit lands into the work directory of this job and nowhere else. */
  job: z.string().regex(/^[0-9a-z]{1,32}$/),
  source: remoteSpec,
  /** Bytes that the daemon has reserved. A VM that needs more is not begun, see `needs`. */
  reserved: z.int().min(0),
});
export type LandRequest = z.infer<typeof landRequestSchema>;

const progressSchema = z.object({
  percent: z.number(),
  bytesPerSecond: z.number().exactOptional(),
  etaSeconds: z.number().exactOptional(),
  step: z.string().exactOptional(),
});

const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  advice: z.string(),
  retryable: z.boolean(),
  causes: z.array(z.string()),
});

export const landEventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('progress'), progress: progressSchema }),
  z.object({ event: z.literal('advanced') }),
  z.object({ event: z.literal('account'), read: z.int(), written: z.int() }),
  z.object({
    event: z.literal('log'),
    level: z.enum(['debug', 'info', 'warn', 'error']),
    text: z.string(),
    facts: z.record(z.string(), z.unknown()),
  }),
  /** The last line, one of three. Nothing was landed yet: the request is to be repeated with so much reserved. */
  z.object({ event: z.literal('needs'), bytes: z.int(), written: z.int() }),
  z.object({ event: z.literal('landed'), facts: remoteFactsSchema }),
  z.object({ event: z.literal('failed'), error: errorSchema }),
]);
export type LandEvent = z.infer<typeof landEventSchema>;
