import { z } from 'zod';
import { dropPlaceSchema } from '../../model/drop.js';

/** What is fetched, of `[source]` of a job.toml (config/job-source.ts). It also crosses to the fetching unit. */
export const remoteSpec = z.object({
  connection: z.string(),
  vm: z.array(z.string()).min(1),
  transport: z.string(),
  power: z.string(),
  sha256: z.record(z.string(), z.string()),
});
export type RemoteSpec = z.infer<typeof remoteSpec>;

export const remoteSourceSpec = remoteSpec.extend({ drop: dropPlaceSchema });
export type RemoteSourceSpec = z.infer<typeof remoteSourceSpec>;
