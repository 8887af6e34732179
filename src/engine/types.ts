import type { Logger } from 'pino';
import type { JobOptions } from '../config/schema.js';
import type { ErrorRecord } from '../errors/error.js';
import type { DropPlace } from '../model/drop.js';
import type { StageName } from '../model/stage-names.js';
import type { Checkpoint, StageRecord } from '../model/stage-record.js';
import type { LaneName, Progress, StageContext } from './stage.js';

/**
 * Where checkpoints live: the queue in the daemon, memory in `convert`. What was written is durable when the
 * promise resolves.
 */
export interface CheckpointStore {
  load(): Promise<Checkpoint[]>;
  save(checkpoint: Checkpoint): Promise<void>;
  /** Forgets `stage` and all after it. */
  truncate(stage: string): Promise<void>;
}

/**
 * Grants a slot of a scarce resource; waits in priority order. The release function may be called once or
 * more.
 */
export interface Lanes {
  acquire(lane: LaneName, options: { priority: number; signal: AbortSignal }): Promise<() => void>;
}

export type PipelineEvent =
  | { type: 'stage-started'; stage: string; attempt: number }
  | { type: 'stage-waiting'; stage: string; lane: LaneName }
  | { type: 'progress'; stage: string; progress: Progress }
  | { type: 'stage-retry'; stage: string; error: ErrorRecord; waitSeconds: number }
  | { type: 'stage-finished'; record: StageRecord };

export interface PipelineRequest {
  job: { id: string; vm: string };
  options: JobOptions;
  workDirectory: string;
  /** The drop: the VM itself, or the job.toml that says where to fetch it. */
  source: DropPlace;
  priority: number;
  signal: AbortSignal;
  log: Logger;
  store: CheckpointStore;
  lanes: Lanes;
  /** Of `StageContext`. */
  reserve: StageContext['reserve'];
  /** Stop after this stage (`inspect`, `plan` commands). */
  until?: StageName;
  /** The pipeline goes on when this is done, except after `progress`, which must not reject. */
  onEvent(event: PipelineEvent): void | Promise<void>;
}

/**
 * `outputs` by stage name; `error` is null when all requested stages completed. Not thrown for a stage's
 * failure.
 */
export interface PipelineResult {
  outputs: Record<string, unknown>;
  /** Of the drop that the stages have read; null where they have read none. */
  sourceId: string | null;
  records: StageRecord[];
  error: ErrorRecord | null;
  /** The stage that failed or was cancelled. */
  failedStage: string | null;
  cancelled: boolean;
}
