import type { ErrorRecord } from '../errors/error.js';

/** One line of `stages` in report.json. Status `reused`: the checkpoint of an earlier run was valid. */
export interface StageRecord {
  stage: string;
  status: 'completed' | 'reused' | 'skipped' | 'failed' | 'cancelled' | 'running' | 'pending';
  /** Seconds of the last attempt. */
  seconds: number;
  attempts: number;
  bytes_read: number;
  bytes_written: number;
  /** libguestfs appliances started by this stage: 1 for a VM, more only after a restart or a retry. */
  appliance_launches: number;
  error: ErrorRecord | null;
  started_at: string | null;
  finished_at: string | null;
}

/**
 * What is kept of a completed stage. `id` is the chained content id, `output` the stage's JSON output (null
 * if skipped). The record's status is `failed` if the job failed because of this output: it is reused only if
 * the stage accepts it.
 */
export interface Checkpoint {
  stage: string;
  id: string;
  output: unknown;
  record: StageRecord;
  timestamp: string;
}
