import { z } from 'zod';
import { remoteFactsSchema } from '../../../model/remote.js';
import { undoRecordSchema } from '../../../model/undo.js';
import { remoteSpec } from '../spec.js';

const jobSchema = z.string().regex(/^[0-9a-z]{1,32}$/);

/**
 * What daemon and fetching unit say to each other: `POST /v1/land`, answered by one JSON object a line. The
 * daemon ends a fetch by ending the connection. `POST /v1/release` undoes what landing made on other hosts.
 */
export const landRequestSchema = z.object({
  /** The unit lands into the work directory of this job and nowhere else. */
  job: jobSchema,
  source: remoteSpec,
  /** Bytes that the daemon has reserved. A VM that needs more is not begun, see `needs`. */
  reserved: z.int().min(0),
  /** What is recorded as to be undone of this job. The unit makes nothing else, see `makes`. */
  undo: z.array(undoRecordSchema).default([]),
  /** Those of `undo` that were recorded for this request, so that nothing of them can be there yet. */
  fresh: z.array(undoRecordSchema).default([]),
});
export type LandRequest = z.infer<typeof landRequestSchema>;

export const releaseRequestSchema = z.object({ job: jobSchema, undo: z.array(undoRecordSchema) });

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
  /** These are undone, or were not made. */
  z.object({ event: z.literal('undone'), undo: z.array(undoRecordSchema) }),
  /** The last line, one of four. Nothing was made yet: the request is to be repeated with these recorded. */
  z.object({ event: z.literal('makes'), undo: z.array(undoRecordSchema) }),
  /** Nothing was landed yet: the request is to be repeated with so much reserved. */
  z.object({ event: z.literal('needs'), bytes: z.int(), written: z.int() }),
  z.object({ event: z.literal('landed'), facts: remoteFactsSchema }),
  z.object({ event: z.literal('failed'), error: errorSchema }),
]);
export type LandEvent = z.infer<typeof landEventSchema>;

export const releaseAnswerSchema = z.object({
  released: z.array(z.object({ record: undoRecordSchema, error: errorSchema.nullable() })),
});
