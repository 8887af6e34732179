import { setTimeout as sleep } from 'node:timers/promises';
import type { JobOptions } from '../config/schema.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import { orFullDisk } from '../files/space.js';
import { failpoint } from '../host/failpoint.js';
import type { Pass } from '../model/pass.js';
import type { StageRecord } from '../model/stage-record.js';
import type { GuestSlot } from './guest-slot.js';
import { runHooks } from './hooks.js';
import { decideRetry } from './retry.js';
import type { SourceSlot } from './source-slot.js';
import type { Stage, StageContext } from './stage.js';
import type { PipelineRequest } from './types.js';

/** What the stages of one run share. */
export interface RunSlots {
  guest: GuestSlot;
  source: SourceSlot;
}

export interface StageOutcome {
  record: StageRecord;
  /** The output as it will be read back from the checkpoint. */
  output: unknown;
  /** The pass that the stage asks for after this output, instead of the next stage. */
  next: Pass | null;
}

/**
 * Runs one stage, after waiting for its slot, until it completes, fails for good or is cancelled. Never
 * throws for the stage's own failure. `passAfter` says whether another pass follows an output of the stage.
 */
export async function runStage(
  stage: Stage,
  outputs: Readonly<Record<string, unknown>>,
  request: PipelineRequest,
  slots: RunSlots,
  passAfter: (output: unknown) => Promise<Pass | null>,
): Promise<StageOutcome> {
  const { guest } = slots;
  const { signal, onEvent, options } = request;
  const retry = {
    attempts: options.config.retry.attempts,
    backoffSeconds: options.config.retry.backoff_seconds,
  };
  const record = pendingRecord(stage.name);
  const log = request.log.child({ stage: stage.name });
  let hasAdvanced = false;
  const context = stageContext(stage, request, slots, record, log, () => {
    if (hasAdvanced) return;
    hasAdvanced = true;
    const tell = async () => onEvent({ type: 'stage-advanced', stage: stage.name });
    // Nothing waits for it. If the lease is lost, whatever is written next says so.
    tell().catch((err: unknown) => log.warn({ err }, 'progress could not be recorded'));
  });
  const failures: ErrorRecord[] = [];
  record.started_at = new Date().toISOString();
  for (;;) {
    let started = performance.now();
    let release: () => void = () => {};
    try {
      release = await takeLane(stage, request, guest);
      record.status = 'running';
      record.attempts += 1;
      started = performance.now();
      log.info({ attempt: record.attempts }, 'stage started');
      await onEvent({ type: 'stage-started', stage: stage.name, attempt: record.attempts });
      failpoint(`stage.${stage.name}.running`);
      await runHooks('before', stage.name, context, { outputs });
      const output = await stage.run(context, parseInput(stage, outputs));
      signal.throwIfAborted();
      const kept: unknown = JSON.parse(JSON.stringify(parseOutput(stage, output)));
      const next = await passAfter(kept);
      // Programs that continue with the output must not see one that was not accepted or is not the last.
      if (next === null && refusalOf(stage, kept, options) === null)
        await runHooks('after', stage.name, context, { outputs, output: kept });
      release();
      return { record: finish(record, 'completed', started, null), output: kept, next };
    } catch (error) {
      // Checked before our cleanup frees space. The boot test and the appliance clean up earlier, so they
      // check it themselves.
      const thrown = signal.aborted ? error : await orFullDisk(error, request.workDirectory);
      if (stage.lane === 'appliances') await guest.kill();
      await cleanUp(stage, context);
      release();
      if (signal.aborted) {
        const cancelled = finish(record, 'cancelled', started, cancelRecord(signal, thrown));
        return { record: cancelled, output: null, next: null };
      }
      const failure = errorRecord(thrown);
      if (hasAdvanced) failures.length = 0;
      hasAdvanced = false;
      failures.push(failure);
      log.debug({ err: thrown }, 'stage attempt failed');
      const decision = decideRetry(failures, retry);
      if (!decision.retry)
        return { record: finish(record, 'failed', started, decision.error), output: null, next: null };
      const { waitSeconds } = decision;
      log.warn(
        { code: failure.code, error: failure.message, wait_seconds: waitSeconds },
        'stage will be retried',
      );
      await onEvent({ type: 'stage-retry', stage: stage.name, error: failure, waitSeconds });
      // If cancelled while waiting, the next iteration sees the signal.
      await sleep(waitSeconds * 1000, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Returns why the job may not continue with the stage's output, or null. */
export function refusalOf(stage: Stage, output: unknown, options: JobOptions): ErrorRecord | null {
  const refusal = stage.accept?.(output, options) ?? null;
  return refusal === null ? null : errorRecord(refusal);
}

/**
 * Removes what the stage's unfinished run left behind. A failing cleanup is a bug of the stage, and must not
 * hide the failure that it follows.
 */
async function cleanUp(stage: Stage, context: StageContext): Promise<void> {
  try {
    await stage.cleanup?.(context);
  } catch (err) {
    context.log.error({ err }, 'cleanup failed');
  }
}

export function pendingRecord(stage: string): StageRecord {
  return {
    stage,
    status: 'pending',
    seconds: 0,
    attempts: 0,
    bytes_read: 0,
    bytes_written: 0,
    appliance_launches: 0,
    error: null,
    started_at: null,
    finished_at: null,
  };
}

/**
 * Returns the canceller's reason as a record: `job.cancelled`, `daemon.stopping`. If the stage failed by
 * itself at the same moment, the job still counts as cancelled, as requested, and the failure is among the
 * causes.
 */
export function cancelRecord(signal: AbortSignal, thrown: unknown = signal.reason): ErrorRecord {
  const { reason } = signal;
  const record = errorRecord(
    reason instanceof Hyper2kvmError ? reason : new Hyper2kvmError('job.cancelled', 'the job was cancelled'),
  );
  if (thrown === reason || (thrown instanceof Error && thrown.name === 'AbortError')) return record;
  const failure = errorRecord(thrown);
  return { ...record, causes: [...record.causes, `${failure.code}: ${failure.message}`, ...failure.causes] };
}

async function takeLane(stage: Stage, request: PipelineRequest, guest: GuestSlot): Promise<() => void> {
  const { lane } = stage;
  const { signal, priority, onEvent } = request;
  signal.throwIfAborted();
  if (lane === undefined || (lane === 'appliances' && guest.holdsLane)) return () => {};
  await onEvent({ type: 'stage-waiting', stage: stage.name, lane });
  const release = await request.lanes.acquire(lane, { priority, signal });
  if (lane !== 'appliances') return release;
  guest.occupy(release);
  return () => {};
}

function stageContext(
  stage: Stage,
  request: PipelineRequest,
  { guest, source }: RunSlots,
  record: StageRecord,
  log: StageContext['log'],
  advanced: () => void,
): StageContext {
  const context: StageContext = {
    job: request.job,
    options: request.options,
    workDirectory: request.workDirectory,
    source: request.source,
    signal: request.signal,
    log,
    progress: (progress) => void request.onEvent({ type: 'progress', stage: stage.name, progress }),
    reserve: request.reserve,
    advanced,
    account({ read = 0, written = 0 }) {
      record.bytes_read += read;
      record.bytes_written += written;
    },
    guest(disks, sectorSizes = []) {
      if (!guest.isOpen) record.appliance_launches += 1;
      return guest.access({ disks, sectorSizes }, log);
    },
    closeGuest: () => guest.close(),
    openSource: () => source.open(request.source, context),
  };
  return context;
}

function parseInput(stage: Stage, outputs: Readonly<Record<string, unknown>>): unknown {
  const parsed = stage.input.safeParse(outputs);
  if (parsed.success) return parsed.data;
  throw new Hyper2kvmError(
    'internal.stage-input',
    `the earlier stages did not provide the input that ${stage.name} needs`,
    {
      cause: parsed.error,
    },
  );
}

function parseOutput(stage: Stage, output: unknown): unknown {
  const parsed = stage.output.safeParse(output);
  if (parsed.success) return parsed.data;
  throw new Hyper2kvmError('internal.stage-output', `the result of ${stage.name} does not match its schema`, {
    cause: parsed.error,
  });
}

function finish(
  record: StageRecord,
  status: StageRecord['status'],
  started: number,
  error: ErrorRecord | null,
): StageRecord {
  record.status = status;
  record.seconds = Math.round(performance.now() - started) / 1000;
  record.error = error;
  record.finished_at = new Date().toISOString();
  return record;
}
