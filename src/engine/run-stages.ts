import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestAccess, GuestRequest } from '../access/guest-access.js';
import { type ErrorRecord, errorRecord, isFullDisk } from '../errors/error.js';
import { failpoint } from '../host/failpoint.js';
import type { DropPlace } from '../model/drop.js';
import type { Pass } from '../model/pass.js';
import type { Checkpoint, StageRecord } from '../model/stage-record.js';
import type { Source } from '../sources/base/source.js';
import { dropPaths, holdSource, type SourceHold } from '../sources/local/hold-source.js';
import { isSameSource, listSource, sourceChanged, sourceId } from '../sources/local/list-source.js';
import { SOURCES } from '../sources/registry.js';
import { isEnabled, stageId } from './content-id.js';
import { GuestSlot } from './guest-slot.js';
import { PassRun } from './passes.js';
import { filesOf, reuse } from './reuse.js';
import { cancelRecord, pendingRecord, refusalOf, runStage, type StageOutcome } from './run-stage.js';
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
 * stage does not accept ends the run as a failure, with its checkpoint kept. A stage may ask for another pass
 * with other options (`Stage.again`): then its stages run again, in the same order. The drop is held meanwhile
 * (hold-source.ts) and must be unchanged after each stage, otherwise the result could mix two states. Rejects
 * only with a transient error of the host around the stages (the database is locked, no file descriptors),
 * which says nothing about the VM.
 */
export async function executePipeline(
  caller: PipelineRequest,
  parts: PipelineParts,
): Promise<PipelineResult> {
  return new PipelineRun(caller, parts).execute();
}

class PipelineRun {
  readonly #caller: PipelineRequest;
  readonly #parts: PipelineParts;
  readonly #stages: readonly Stage[];
  readonly #guest: GuestSlot;
  readonly #source: SourceSlot;
  readonly #records: Map<string, StageRecord>;
  readonly #outputs: Record<string, unknown> = {};
  /** Content ids: before the first stage, then after each. */
  readonly #ids: string[] = [];
  /** The stage that may ask for another pass, and the position of the first one of a pass; -1 without one. */
  readonly #asking: Stage | undefined;
  readonly #passStart: number;
  /** With the drop as it is held, and the signal that ends the run if it is written to. */
  #request: PipelineRequest;
  #hold: SourceHold | null = null;
  #held = new Map<string, Checkpoint>();
  /** Null before the first stage of a pass. */
  #passes: PassRun | null = null;
  #current: string;

  constructor(caller: PipelineRequest, parts: PipelineParts) {
    this.#caller = caller;
    this.#request = caller;
    this.#parts = parts;
    this.#stages = upTo(parts.stages, caller.until);
    this.#records = new Map(this.#stages.map((stage) => [stage.name, pendingRecord(stage.name)]));
    this.#asking = this.#stages.find(({ again }) => again !== undefined);
    this.#passStart = this.#stages.findIndex(({ name }) => name === this.#asking?.again?.from);
    this.#current = this.#stages[0]?.name ?? '';
    this.#source = new SourceSlot(caller.options.source, parts.sources ?? SOURCES);
    this.#guest = new GuestSlot((disks, log) => {
      const { source, signal, workDirectory, options } = this.#request;
      const place = { workDirectory, drop: dropPaths(source), options: options.config };
      return parts.openGuest({ ...disks, ...place, signal, log });
    });
  }

  async execute(): Promise<PipelineResult> {
    let isDone = false;
    try {
      for (const stage of this.#parts.stages) {
        this.#current = stage.name;
        if (isEnabled(stage, this.#caller.options)) stage.check?.(this.#caller.options);
      }
      this.#current = this.#stages[0]?.name ?? '';
      this.#hold = await holdSource(this.#caller);
      const signal = AbortSignal.any([this.#caller.signal, this.#hold.signal]);
      this.#request = { ...this.#caller, source: this.#hold.source, signal };
      const ended = await this.#runAll();
      isDone = ended === null;
      return ended ?? this.#result(null, null);
    } catch (thrown) {
      const { signal } = this.#request;
      const error = signal.aborted ? cancelRecord(signal, thrown) : errorRecord(thrown);
      // A full disk is a failure of the job, which then waits for as much space as it needs.
      if (!signal.aborted && error.retryable && !isFullDisk(error)) throw thrown;
      const record = this.#records.get(this.#current) ?? pendingRecord(this.#current);
      await this.#put({ ...record, status: this.#caller.signal.aborted ? 'cancelled' : 'failed', error });
      return this.#result(this.#current, error);
    } finally {
      await this.#guest.kill();
      await this.#source.close(isDone ? 'done' : 'failed', this.#caller.log);
      await this.#hold?.release();
    }
  }

  /** Runs all stages, in as many passes as it takes. Returns the result of a run that ends early, or null. */
  async #runAll(): Promise<PipelineResult | null> {
    const { signal } = this.#request;
    const stored = await this.#caller.store.load();
    this.#held = new Map(stored.map((checkpoint) => [checkpoint.stage, checkpoint]));
    this.#ids[0] = await this.#source.contentId(this.#caller.source, signal);
    let resuming = true;
    for (let index = 0; index < this.#stages.length; index += 1) {
      const stage = this.#stages[index]!;
      this.#current = stage.name;
      if (signal.aborted) return this.#result(stage.name, cancelRecord(signal));
      const { request, id } = await this.#prepare(stage, index);
      const reused: Checkpoint | null = resuming
        ? await reuse(stage, id, this.#held.get(stage.name), request)
        : null;
      if (reused === null && resuming) await this.#forgetFrom(index);
      resuming = reused !== null;
      const outcome = reused === null ? await this.#run(stage, request) : await this.#reuse(stage, reused);
      const { record, output, next } = outcome;
      this.#records.set(stage.name, record);
      if (record.error !== null) {
        const failed = await this.#failed(stage, record);
        if (failed !== null) return failed;
        index = this.#passStart - 1;
        continue;
      }
      if (reused === null) await this.#keep(stage, index, id, outcome);
      this.#outputs[stage.name] = output;
      if (next !== null) {
        await this.#put(record);
        await this.#begin(next, output, null);
        index = this.#passStart - 1;
        continue;
      }
      const refused = await this.#refuse(stage, outcome);
      if (refused !== null) return refused;
      await this.#put(record);
      if (reused !== null) this.#caller.log.info({ stage: stage.name }, 'stage reused');
    }
    return null;
  }

  /** Returns the stage's content id and the options that it runs with, those of the current pass. */
  async #prepare(stage: Stage, index: number): Promise<{ request: PipelineRequest; id: string }> {
    const before = this.#ids[index]!;
    const { options } = this.#caller;
    const isStart = index === this.#passStart;
    if (isStart && this.#passes === null && this.#asking !== undefined) {
      const base = stageId(this.#asking, options, stageId(stage, options, before));
      this.#passes = await PassRun.open(this.#asking, base, this.#request);
    }
    const request =
      this.#passes === null ? this.#request : { ...this.#request, options: this.#passes.options };
    const changes = isStart ? this.#passes?.current.options : undefined;
    const id = stageId(stage, request.options, before, changes);
    this.#ids[index + 1] = id;
    return { request, id };
  }

  /** Runs a stage, unless the options leave it out. */
  async #run(stage: Stage, request: PipelineRequest): Promise<StageOutcome> {
    if (!isEnabled(stage, request.options))
      return { record: { ...pendingRecord(stage.name), status: 'skipped' }, output: null, next: null };
    const slots = { guest: this.#guest, source: this.#source };
    return runStage(stage, this.#outputs, request, slots, (output) => this.#passAfter(stage, output));
  }

  async #reuse(stage: Stage, { output, record }: Checkpoint): Promise<StageOutcome> {
    // A run that was killed before the next pass was stored decides again, with the same answer.
    return { output, record, next: await this.#passAfter(stage, output) };
  }

  async #passAfter(stage: Stage, output: unknown): Promise<Pass | null> {
    return (await this.#passes?.after(stage, output, this.#outputsBeforePass())) ?? null;
  }

  /** Ends the run after a stage failed, or begins another pass and returns null. */
  async #failed(stage: Stage, record: StageRecord): Promise<PipelineResult | null> {
    const error = record.error!;
    await this.#put(this.#caller.signal.aborted ? record : { ...record, status: 'failed' });
    if (this.#request.signal.aborted) return this.#result(stage.name, error);
    const next = (await this.#passes?.afterFailure(error, this.#outputsBeforePass())) ?? null;
    if (next === null) {
      const final = this.#passes?.finalError(error) ?? { stage: stage.name, error };
      return this.#result(final.stage, final.error);
    }
    await this.#begin(next, null, error);
    return null;
  }

  /** Saves the checkpoint of a stage that has just completed. */
  async #keep(
    stage: Stage,
    index: number,
    id: string,
    { output, record }: Pick<StageOutcome, 'output' | 'record'>,
  ): Promise<void> {
    const { options, source, store } = this.#caller;
    this.#hold?.assert();
    if (this.#hold !== null) await assertUnchanged(this.#hold.files, source);
    const isLast = !this.#stages
      .slice(index + 1)
      .some((next) => next.lane === 'appliances' && isEnabled(next, options));
    if (isLast) await this.#guest.close();
    failpoint(`stage.${stage.name}.before-checkpoint`);
    await store.save({ stage: stage.name, id, output, record, timestamp: new Date().toISOString() });
    failpoint(`stage.${stage.name}.after-checkpoint`);
  }

  /** Ends the pass, whose evidence is kept, and begins another: what its stages left is removed. */
  async #begin(pass: Pass, output: unknown, error: ErrorRecord | null): Promise<void> {
    const { log, workDirectory, onEvent } = this.#caller;
    const passes = await this.#passes!.begin(pass, output, error);
    this.#passes = passes;
    log.warn({ attempt: passes.number, reason: pass.reason, options: pass.options }, 'trying other options');
    for (const stage of this.#stages.slice(this.#passStart)) {
      for (const file of filesOf(stage, this.#outputs[stage.name]))
        await rm(join(workDirectory, file), { recursive: true, force: true });
      delete this.#outputs[stage.name];
      this.#records.set(stage.name, pendingRecord(stage.name));
    }
    await this.#forgetFrom(this.#passStart);
    await onEvent({ type: 'pass-started', number: passes.number, pass });
  }

  async #forgetFrom(index: number): Promise<void> {
    const { store } = this.#caller;
    const stored = new Set((await store.load()).map((checkpoint) => checkpoint.stage));
    const first = this.#stages.slice(index).find((stage) => stored.has(stage.name));
    if (first !== undefined) await store.truncate(first.name);
  }

  /** Ends the run because the stage does not accept its own output. */
  async #refuse(stage: Stage, { output, record }: Pick<StageOutcome, 'output' | 'record'>) {
    const error = record.status === 'skipped' ? null : refusalOf(stage, output, this.#caller.options);
    if (error === null) return null;
    await this.#put({ ...record, status: 'failed', error });
    return this.#result(stage.name, error);
  }

  #outputsBeforePass(): Record<string, unknown> {
    const names = this.#stages.slice(0, this.#passStart).map(({ name }) => name);
    return Object.fromEntries(names.map((name) => [name, this.#outputs[name]]));
  }

  async #put(record: StageRecord): Promise<void> {
    this.#records.set(record.stage, record);
    if (record.status !== 'reused') this.#logEnd(record);
    await this.#caller.onEvent({ type: 'stage-finished', record });
  }

  #logEnd(record: StageRecord): void {
    const { log } = this.#caller;
    const { stage, seconds, attempts, bytes_read, bytes_written, error } = record;
    const facts = { stage, seconds, attempts, bytes_read, bytes_written };
    if (record.status === 'skipped') log.info({ stage }, 'stage skipped');
    else if (record.status === 'completed') log.info(facts, 'stage finished');
    else if (record.status === 'cancelled') log.info({ ...facts, code: error?.code }, 'stage cancelled');
    else log.error({ ...facts, code: error?.code, error: error?.message }, 'stage failed');
  }

  #result(failedStage: string | null, error: PipelineResult['error']): PipelineResult {
    return {
      outputs: this.#outputs,
      sourceId: this.#hold === null ? null : sourceId(this.#hold.files),
      records: [...this.#records.values()],
      error,
      failedStage,
      cancelled: failedStage !== null && this.#caller.signal.aborted,
    };
  }
}

function upTo(stages: readonly Stage[], until: string | undefined): readonly Stage[] {
  if (until === undefined) return stages;
  const last = stages.findIndex((stage) => stage.name === until);
  return stages.slice(0, last + 1);
}

async function assertUnchanged(
  before: SourceHold['files'],
  { directory, entries }: DropPlace,
): Promise<void> {
  if (isSameSource(before, await listSource(directory, entries))) return;
  throw sourceChanged('the drop was written to while it was being converted');
}
