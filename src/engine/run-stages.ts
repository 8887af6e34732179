import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestAccess, GuestRequest } from '../access/guest-access.js';
import type { JobOptions } from '../config/schema.js';
import { errorRecord, isFullDisk } from '../errors/error.js';
import { failpoint } from '../host/failpoint.js';
import type { DropPlace } from '../model/drop.js';
import type { Checkpoint, StageRecord } from '../model/stage-record.js';
import type { Source } from '../sources/base/source.js';
import { dropPaths, holdSource, type SourceHold } from '../sources/local/hold-source.js';
import { isSameSource, listSource, sourceChanged, sourceId } from '../sources/local/list-source.js';
import { SOURCES } from '../sources/registry.js';
import { isEnabled, stageId } from './content-id.js';
import { GuestSlot } from './guest-slot.js';
import { hooksOf } from './hooks.js';
import { cancelRecord, pendingRecord, refusalOf, runStage } from './run-stage.js';
import { SourceSlot } from './source-slot.js';
import type { Stage } from './stage.js';
import type { PipelineRequest, PipelineResult } from './types.js';

/** The parts of the pipeline; `stages/pipeline.ts` provides the real ones. */
export interface PipelineParts {
  /** In order. */
  stages: readonly Stage[];
  openGuest(request: GuestRequest): Promise<GuestAccess>;
  /** Defaults to those of the product. */
  sources?: readonly Source[];
}

/**
 * Runs the stages in strict order. A stage with a valid checkpoint (same chained content id, output matching
 * the stage's schema) is not run again; from the first invalid one on, all stages run. An output that its
 * stage does not accept ends the run as a failure, with its checkpoint kept. The drop is held meanwhile
 * (hold-source.ts) and must be unchanged after each stage, otherwise the result could mix two states. Rejects
 * only with a transient error of the host around the stages (the database is locked, no file descriptors),
 * which says nothing about the VM.
 */
export async function executePipeline(
  caller: PipelineRequest,
  parts: PipelineParts,
): Promise<PipelineResult> {
  const { options, store, log, workDirectory } = caller;
  let request = caller;
  let hold: SourceHold | null = null;
  const stages = upTo(parts.stages, request.until);
  const records = new Map(stages.map((stage) => [stage.name, pendingRecord(stage.name)]));
  const outputs: Record<string, unknown> = {};
  const guest = new GuestSlot((disks, stageLog) => {
    const { source, signal } = request;
    return parts.openGuest({
      ...disks,
      workDirectory,
      drop: dropPaths(source),
      options: options.config,
      signal,
      log: stageLog,
    });
  });
  const slots = { guest, source: new SourceSlot(options.source, parts.sources ?? SOURCES) };
  const result = (failedStage: string | null, error: PipelineResult['error']): PipelineResult => ({
    outputs,
    sourceId: hold === null ? null : sourceId(hold.files),
    records: [...records.values()],
    error,
    failedStage,
    cancelled: failedStage !== null && caller.signal.aborted,
  });

  let current = stages[0]?.name ?? '';
  let isDone = false;
  try {
    for (const stage of parts.stages) {
      current = stage.name;
      if (isEnabled(stage, options)) stage.check?.(options);
    }
    current = stages[0]?.name ?? '';
    hold = await holdSource(caller);
    const signal = AbortSignal.any([caller.signal, hold.signal]);
    request = { ...caller, source: hold.source, signal };
    const held = new Map((await store.load()).map((checkpoint) => [checkpoint.stage, checkpoint]));
    let id = await slots.source.contentId(caller.source, signal);
    let resuming = true;
    for (const [index, stage] of stages.entries()) {
      current = stage.name;
      if (signal.aborted) return result(current, cancelRecord(signal));
      id = stageId(stage, options, id);
      const reused = resuming ? await reuse(stage, id, held.get(stage.name), request) : null;
      if (reused !== null) {
        outputs[stage.name] = reused.output;
        const refused = await refuse(stage, reused);
        if (refused !== null) return refused;
        await put(reused.record);
        log.info({ stage: stage.name }, 'stage reused');
        continue;
      }
      if (resuming) await forgetFrom(index);
      resuming = false;
      const { record, output } = isEnabled(stage, options)
        ? await runStage(stage, outputs, request, slots)
        : { record: { ...pendingRecord(stage.name), status: 'skipped' } satisfies StageRecord, output: null };
      records.set(stage.name, record);
      if (record.error !== null) {
        await put(caller.signal.aborted ? record : { ...record, status: 'failed' });
        return result(current, record.error);
      }
      hold.assert();
      await assertUnchanged(hold.files, caller.source);
      if (!stages.slice(index + 1).some((next) => next.lane === 'appliances' && isEnabled(next, options))) {
        await guest.close();
      }
      failpoint(`stage.${stage.name}.before-checkpoint`);
      await store.save({ stage: stage.name, id, output, record, timestamp: new Date().toISOString() });
      failpoint(`stage.${stage.name}.after-checkpoint`);
      outputs[stage.name] = output;
      const refused = await refuse(stage, { output, record });
      if (refused !== null) return refused;
      await put(record);
    }
    isDone = true;
    return result(null, null);
  } catch (thrown) {
    const { aborted } = request.signal;
    const error = aborted ? cancelRecord(request.signal, thrown) : errorRecord(thrown);
    // A full disk is a failure of the job, which then waits for as much space as it needs.
    if (!aborted && error.retryable && !isFullDisk(error)) throw thrown;
    const record = records.get(current) ?? pendingRecord(current);
    await put({ ...record, status: caller.signal.aborted ? 'cancelled' : 'failed', error });
    return result(current, error);
  } finally {
    await guest.kill();
    await slots.source.close(isDone ? 'done' : 'failed', log);
    await hold?.release();
  }

  async function forgetFrom(index: number): Promise<void> {
    const stored = new Set((await store.load()).map((checkpoint) => checkpoint.stage));
    const first = stages.slice(index).find((stage) => stored.has(stage.name));
    if (first !== undefined) await store.truncate(first.name);
  }

  /** Ends the run because the stage does not accept its own output. */
  async function refuse(stage: Stage, { output, record }: Pick<Checkpoint, 'output' | 'record'>) {
    const error = record.status === 'skipped' ? null : refusalOf(stage, output, options);
    if (error === null) return null;
    await put({ ...record, status: 'failed', error });
    return result(stage.name, error);
  }

  async function put(record: StageRecord): Promise<void> {
    records.set(record.stage, record);
    if (record.status !== 'reused') logEnd(record);
    await caller.onEvent({ type: 'stage-finished', record });
  }

  function logEnd(record: StageRecord): void {
    const { stage, seconds, attempts, bytes_read, bytes_written, error } = record;
    const facts = { stage, seconds, attempts, bytes_read, bytes_written };
    if (record.status === 'skipped') log.info({ stage }, 'stage skipped');
    else if (record.status === 'completed') log.info(facts, 'stage finished');
    else if (record.status === 'cancelled') log.info({ ...facts, code: error?.code }, 'stage cancelled');
    else log.error({ ...facts, code: error?.code, error: error?.message }, 'stage failed');
  }
}

function upTo(stages: readonly Stage[], until: string | undefined): readonly Stage[] {
  if (until === undefined) return stages;
  const last = stages.findIndex((stage) => stage.name === until);
  return stages.slice(0, last + 1);
}

async function reuse(
  stage: Stage,
  id: string,
  checkpoint: Checkpoint | undefined,
  { options, workDirectory }: Pick<PipelineRequest, 'options' | 'workDirectory'>,
): Promise<Checkpoint | null> {
  if (checkpoint === undefined || checkpoint.id !== id) return null;
  const wasSkipped = checkpoint.record.status === 'skipped';
  const parsed = wasSkipped ? null : stage.output.safeParse(checkpoint.output);
  if (parsed !== null && !parsed.success) return null;
  const files = parsed === null ? [] : (stage.files?.(parsed.data) ?? []);
  if (!files.every((file) => existsSync(join(workDirectory, file)))) return null;
  if (checkpoint.record.status === 'failed' && !isAcceptedNow(stage, parsed?.data, options)) return null;
  return {
    ...checkpoint,
    output: parsed?.data ?? null,
    record: wasSkipped ? checkpoint.record : { ...checkpoint.record, status: 'reused', error: null },
  };
}

/**
 * Whether a stage accepts an output that the job failed because of: it does if the options have changed
 * accordingly. Hooks after the stage have not run yet, so with hooks the stage runs again.
 */
function isAcceptedNow(stage: Stage, output: unknown, options: JobOptions): boolean {
  const hasHooks = hooksOf(options, stage.name).some(({ when }) => when === 'after');
  return !hasHooks && refusalOf(stage, output, options) === null;
}

async function assertUnchanged(
  before: SourceHold['files'],
  { directory, entries }: DropPlace,
): Promise<void> {
  if (isSameSource(before, await listSource(directory, entries))) return;
  throw sourceChanged('the drop was written to while it was being converted');
}
