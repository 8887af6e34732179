import type { JobDetail, JobSummary, Status } from './protocol.js';

/** Which jobs `list` returns; all of the given conditions hold. `since` is an ISO 8601 time. */
export interface JobQuery {
  state?: string | undefined;
  name?: string | undefined;
  since?: string | undefined;
}

type Answer<T> = T | Promise<T>;

/**
 * What the daemon offers to its control socket, one method a line of the table in protocol.ts. An `id` is a
 * job's, an unambiguous beginning of one, or a VM's name. Errors are the caller's: `api.no-job`,
 * `api.ambiguous`, `api.wrong-state`, `api.bad-request`.
 */
export interface Control {
  status(): Answer<Status>;
  list(query: JobQuery): Answer<JobSummary[]>;
  show(id: string): Answer<JobDetail>;
  /** Lines of NDJSON; with `follow` until the job ends or `signal` aborts. */
  logs(id: string, follow: boolean, signal: AbortSignal): AsyncIterable<Uint8Array>;
  retry(
    id: string,
    settings: { from?: string | undefined; set?: Record<string, string> | undefined },
  ): Answer<JobSummary>;
  cancel(id: string): Answer<JobSummary>;
  priority(id: string, priority: number): Answer<JobSummary>;
  pause(): Answer<Status>;
  resume(): Answer<Status>;
  drain(): Answer<Status>;
}
