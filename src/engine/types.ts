import type { Logger } from 'pino';
import type { JobOptions } from '../config/schema.js';
import type { ErrorRecord } from '../errors/error.js';
import type { DropPlace } from '../model/drop.js';
import type { Pass } from '../model/pass.js';
import type { Checkpoint, StageRecord } from '../model/stage-record.js';
import type { LaneName, Progress, StageContext } from './stage.js';

/**
 * Where checkpoints are stored: the queue in the daemon, memory in `convert`. What was written is durable
 * when the promise resolves.
 */
export interface CheckpointStore {
  load(): Promise<Checkpoint[]>;
  save(checkpoint: Checkpoint): Promise<void>;
  /** Deletes the checkpoints of `stage` and all after it. */
  truncate(stage: string): Promise<void>;
}

/**
 * Grants slots of scarce resources in order of priority. The release function may be called more than once.
 */
export interface Lanes {
  acquire(lane: LaneName, options: { priority: number; signal: AbortSignal }): Promise<() => void>;
}

export type PipelineEvent =
  | { type: 'stage-started'; stage: string; attempt: number }
  | { type: 'stage-waiting'; stage: string; lane: LaneName }
  | { type: 'progress'; stage: string; progress: Progress }
  /** The stage has done what its next attempt continues after. Once for each attempt. */
  | { type: 'stage-advanced'; stage: string }
  | { type: 'stage-retry'; stage: string; error: ErrorRecord; waitSeconds: number }
  | { type: 'stage-finished'; record: StageRecord }
  /** The stages of pass `number` (2 or more) begin. */
  | { type: 'pass-started'; number: number; pass: Pass };

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
  /** As in `StageContext`. */
  reserve: StageContext['reserve'];
  /** Stop after this stage (commands `inspect` and `plan`). */
  until?: string;
  /** The drop is the base of a VM that still runs: the run ends where its cutover begins. */
  isBase?: boolean;
  /**
   * The pipeline continues when this resolves, except after `progress`, for which it does not wait and which
   * must not reject.
   */
  onEvent(event: PipelineEvent): void | Promise<void>;
}

/**
 * The result of a run. `outputs` are by stage name; `error` is null if all requested stages completed. A
 * stage's failure is not thrown.
 */
export interface PipelineResult {
  outputs: Record<string, unknown>;
  /** Id of the drop that the stages read; null if none of them read it. */
  sourceId: string | null;
  records: StageRecord[];
  error: ErrorRecord | null;
  /** The stage that failed or was cancelled. */
  failedStage: string | null;
  cancelled: boolean;
}
