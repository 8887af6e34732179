import { z } from 'zod';

/** Something that was made on another host for a job, and has to be undone there. It holds no secret. */
export const undoRecordSchema = z.object({
  /** Name of the connection by which it was made. */
  connection: z.string(),
  /** `access`, `snapshot`: its transport knows how to undo it. */
  what: z.string().max(64),
  /** Its id on that host. */
  target: z.string().max(4_096),
});
export type UndoRecord = z.infer<typeof undoRecordSchema>;
