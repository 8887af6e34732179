import { z } from 'zod';

/** A VM that was fetched, as report.json shows it. `null` for what its transport does not have. */
export const remoteFactsSchema = z.object({
  /** Type of the connection: `http`. */
  type: z.string(),
  /** Name of the connection. */
  connection: z.string(),
  /** What the job.toml asked for. */
  vm: z.array(z.string()),
  moref: z.string().nullable(),
  instance_uuid: z.string().nullable(),
  transport: z.string(),
  power: z.string().nullable(),
  /** When the disks had this content, of a VM that ran (ISO 8601). */
  point_in_time: z.string().nullable(),
  quiesced: z.boolean().nullable(),
  /** Of all files, in bytes. */
  bytes: z.int(),
  /** Bytes that were not transferred, because the server knows that they are zeros. */
  skipped: z.int(),
  /** How often a request was repeated, in the attempt that ended. */
  retries: z.int(),
  /** Of that attempt. */
  seconds: z.number(),
  files: z.array(z.object({ name: z.string(), size: z.int(), sha256: z.string() })),
});
export type RemoteFacts = z.infer<typeof remoteFactsSchema>;
