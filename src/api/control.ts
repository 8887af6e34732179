import type { DaemonEvent } from './events.js';
import type { JobDetail, JobSummary, Status } from './protocol.js';

/** Which jobs `list` returns; all given conditions must hold. `since` is an ISO 8601 time. */
export interface JobQuery {
  state?: string | undefined;
  name?: string | undefined;
  since?: string | undefined;
}

/**
 * What the daemon offers on its control socket, one method for each line of the table in protocol.ts. An `id`
 * is a job's id, an unambiguous prefix of one, or a VM's name. Errors are the caller's: `api.no-job`,
 * `api.ambiguous`, `api.wrong-state`, `api.bad-request`.
 */
export interface Control {
  status(): Promise<Status>;
  list(query: JobQuery): Promise<JobSummary[]>;
  show(id: string): Promise<JobDetail>;
  /** Yields lines of NDJSON; with `follow` until the job ends or `signal` aborts. */
  logs(id: string, follow: boolean, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Yields until `signal` aborts. */
  events(signal: AbortSignal): AsyncIterable<DaemonEvent>;
  retry(
    id: string,
    settings: { from?: string | undefined; set?: Record<string, string> | undefined },
  ): Promise<JobSummary>;
  cutOver(id: string): Promise<JobSummary>;
  cancel(id: string): Promise<JobSummary>;
  priority(id: string, priority: number): Promise<JobSummary>;
  pause(): Promise<Status>;
  resume(): Promise<Status>;
  drain(): Promise<Status>;
}
