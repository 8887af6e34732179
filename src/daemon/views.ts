import type { JobDetail, JobState, JobSummary, Status } from '../api/protocol.js';
import type { LaneLoad } from '../engine/lanes.js';
import { pendingRecord } from '../engine/run-stage.js';
import type { Job } from '../model/job.js';
import { isParked } from '../queue/job-changes.js';
import type { QueueStore } from '../queue/store.js';
import { formatMinute } from '../text/format.js';
import type { Admission, PauseReason } from './admission.js';
import type { WaitingView } from './drop-obstacles.js';
import type { LiveProgress } from './live-progress.js';

export interface ViewParts {
  queue: QueueStore;
  progress: LiveProgress;
  admission: Admission;
  waiting(): WaitingView[];
  /** The pipeline's stages, in order. */
  stageNames: readonly string[];
}

type SummaryParts = Pick<ViewParts, 'progress' | 'admission'>;

export async function jobSummary(job: Job, parts: SummaryParts): Promise<JobSummary> {
  return summaryOf(job, parts, await parts.admission.pausedReason());
}

export async function jobSummaries(jobs: readonly Job[], parts: SummaryParts): Promise<JobSummary[]> {
  return summariesOf(jobs, parts, await parts.admission.pausedReason());
}

function summariesOf(jobs: readonly Job[], parts: SummaryParts, paused: PauseReason | null): JobSummary[] {
  return jobs.map((job) => summaryOf(job, parts, paused));
}

function summaryOf(job: Job, { progress, admission }: SummaryParts, paused: PauseReason | null): JobSummary {
  const live = progress.get(job.job);
  // An outcome is not shown before it is published: after a crash it has to be published first.
  const isDone = job.state !== 'queued' && job.state !== 'running';
  return {
    job: job.job,
    vm: job.vm,
    drop: job.dropName,
    state: isParked(job) ? 'parked' : job.state,
    stage: live?.stage ?? job.stage,
    percent: live?.percent ?? null,
    bytes_per_second: live?.bytesPerSecond ?? null,
    eta_seconds: live?.etaSeconds ?? null,
    waiting_for: live?.waitingFor ?? queuedFor(job, admission, paused),
    priority: job.priority,
    created_at: job.createdAt,
    updated_at: job.updatedAt,
    started_at: job.startedAt,
    finished_at: isDone ? job.finishedAt : null,
    error: isDone ? job.error : null,
    directory: isDone ? job.directory : null,
    boot: isDone ? job.result.boot : null,
  };
}

function queuedFor(job: Job, admission: Admission, paused: PauseReason | null): string | null {
  if (job.state !== 'queued') return null;
  if (isParked(job)) return `warm, base of ${formatMinute(job.createdAt)}`;
  if (paused === 'operator') return 'the queue is paused';
  return admission.spaceText({ kind: 'job', id: job.job }) ?? 'a free job slot';
}

/** Returns the summary of a drop that is not a job yet. */
export function waitingSummary({ waiting, waitingFor }: WaitingView): JobSummary {
  const seen = new Date(Date.now() - waiting.quietSeconds * 1000).toISOString();
  return {
    job: '',
    vm: waiting.drop.vm,
    drop: waiting.drop.name,
    state: 'waiting',
    stage: null,
    percent: null,
    bytes_per_second: null,
    eta_seconds: null,
    waiting_for: waitingFor,
    priority: 0,
    created_at: seen,
    updated_at: seen,
    started_at: null,
    finished_at: null,
    error: null,
    directory: null,
    boot: null,
  };
}

export async function jobDetail(job: Job, parts: ViewParts): Promise<JobDetail> {
  const summary = await jobSummary(job, parts);
  const checkpoints = await parts.queue.checkpoints.load(job.job);
  // A warm job also has one of its base's conversion, which is no stage of the pipeline.
  const completed = checkpoints.flatMap(({ stage, record }) =>
    record.status === 'failed' || !parts.stageNames.includes(stage) ? [] : [stage],
  );
  const known = new Map(
    [...checkpoints.map(({ record }) => record), ...job.records].map((record) => [record.stage, record]),
  );
  return {
    ...summary,
    stages: parts.stageNames.map((stage) => known.get(stage) ?? pendingRecord(stage)),
    checkpoint: {
      completed_stages: completed,
      current_stage: job.state === 'running' ? summary.stage : null,
      resume_from:
        job.state === 'converted'
          ? null
          : (parts.stageNames.find((stage) => !completed.includes(stage)) ?? null),
      timestamp: checkpoints.at(-1)?.timestamp ?? null,
    },
    plan: job.result.plan,
  };
}

/** The part of the status that is not in the queue. */
export interface DaemonFacts {
  version: string;
  startedAt: string;
  jobSlots: number;
  lanes: Record<string, LaneLoad>;
  accelerator: Status['accelerator'];
}

export async function statusView(parts: ViewParts, daemon: DaemonFacts): Promise<Status> {
  const { queue, admission } = parts;
  const counts = await queue.jobs.counts();
  const paused = await admission.pausedReason();
  const jobs: Record<JobState, number> = { waiting: parts.waiting().length, ...counts };
  return {
    version: daemon.version,
    pid: process.pid,
    started_at: daemon.startedAt,
    state: admission.isDraining ? 'draining' : paused === null ? 'running' : 'paused',
    paused_reason: paused,
    jobs,
    lanes: {
      jobs: { running: counts.running, waiting: counts.queued, slots: daemon.jobSlots },
      ...daemon.lanes,
    },
    running: summariesOf(await queue.jobs.list({ states: ['running'] }), parts, paused),
    accelerator: daemon.accelerator,
  };
}

/** Returns the line that `systemctl status` shows. */
export function statusLine(status: Status): string {
  const busy = status.running.map(({ vm, stage, percent }) =>
    [vm, stage ?? 'starting', percent === null ? '' : `${Math.floor(percent)}%`]
      .filter((word) => word !== '')
      .join(' '),
  );
  const { queued, waiting, failed } = status.jobs;
  const paused =
    status.state === 'running'
      ? []
      : [status.paused_reason === null ? status.state : `paused (${status.paused_reason})`];
  const counts = [`${queued} queued`, `${waiting} waiting`, `${failed} failed`];
  return [...paused, ...(busy.length === 0 ? ['idle'] : busy), counts.join(', ')].join(' | ');
}
