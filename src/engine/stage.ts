import type { z } from 'zod';
import type { GuestAccess } from '../access/guest-access.js';
import type { JobOptions } from '../config/schema.js';
import type { Hyper2kvmError } from '../errors/error.js';
import type { DropPlace } from '../model/drop.js';
import type { EndedPass, Pass } from '../model/pass.js';
import type { OpenSource, SourceContext } from '../sources/base/source.js';

export type { Progress } from '../sources/base/source.js';

/**
 * The scarce resource that a stage holds while it runs. `appliances` is held from INSPECT to the end of FIX.
 */
export type LaneName = 'appliances' | 'conversions' | 'boots';

/** What a stage waits for, for people. */
export const FREE_SLOT: Readonly<Record<LaneName, string>> = {
  appliances: 'a free appliance slot',
  conversions: 'a free conversion slot',
  boots: 'a free boot slot',
};

/**
 * What a stage may use; its job's source may use part of it. A stage writes scratch files and results only to
 * the work directory.
 */
export interface StageContext extends SourceContext {
  /**
   * The drop, read-only for every stage and changed by nobody while they run: `work/<job>/source` in the
   * daemon, the user's own files in `convert`, or a copy in the work directory.
   */
  source: DropPlace;
  /** Opens the job's source, which need not be the drop. */
  openSource(): Promise<OpenSource>;
  /**
   * Returns the VM's guest in the job's one appliance, which is launched on first use and shared by INSPECT
   * and FIX. `disks` are flat images (FLATTEN's overlays). Writes go to further overlays, so the images stay
   * unchanged. `sectorSizes`: as `GuestRequest` has them.
   */
  guest(disks: readonly string[], sectorSizes?: readonly number[]): Promise<GuestAccess>;
  /** Closes that access cleanly, with everything that was written on disk. Does nothing without one. */
  closeGuest(): Promise<void>;
}

/** What a stage may use that decides about another pass. `options` are the job's own. */
export type PassContext = Pick<StageContext, 'job' | 'options' | 'workDirectory' | 'signal' | 'log'>;

/**
 * How a stage that has seen the result makes earlier stages run again with other options. The stages from `from` to
 * this one are a pass.
 */
export interface Again {
  from: string;
  /** False if the options allow no other pass. */
  enabled(options: JobOptions): boolean;
  /**
   * Returns the next pass, or null if the last one stands. `ended` are the passes so far; an output in them is this
   * stage's. `outputs` are those of the stages before `from`. The same passes give the same answer.
   */
  next(
    context: PassContext,
    outputs: Readonly<Record<string, unknown>>,
    ended: readonly EndedPass[],
  ): Promise<Pass | null>;
  /** Files and directories in the work directory that are kept of each pass, where they exist. */
  evidence: readonly string[];
}

/**
 * A step of the pipeline. Its input is the earlier stages' outputs by name (the schema selects those it
 * needs); its output is plain JSON and is the checkpoint. `run` may be called again from the start at any
 * time, regardless of what it left behind before.
 */
export interface Stage<Input = unknown, Output = unknown> {
  name: string;
  /** Raised when the output for the same input changes, which invalidates checkpoints of the old version. */
  version: number;
  lane?: LaneName;
  input: z.ZodType<Input>;
  output: z.ZodType<Output>;
  /** Returns the options that this stage depends on, as plain JSON, for its content id. */
  dependsOn(options: JobOptions): unknown;
  /** False if the whole stage is skipped (status `skipped`, output null). */
  enabled?(options: JobOptions): boolean;
  /**
   * Throws if the options require something that this stage cannot do. Called for all stages before the first
   * one runs, so that nobody waits an hour for an answer that needs no disk. Pure.
   */
  check?(options: JobOptions): void;
  run(context: StageContext, input: Input): Promise<Output>;
  /**
   * Returns null if the job may continue with this output, otherwise the error that it fails with for good.
   * `run` reports facts and this applies the policy: it is called when the checkpoint is saved and again
   * whenever it is used, so that a retry with other options need not run the stage again. Options that only
   * this function reads do not belong in `dependsOn`. Pure.
   */
  accept?(output: Output, options: JobOptions): Hyper2kvmError | null;
  /** At most one stage has this. Hooks after it, and the stages after it, see the output of the last pass only. */
  again?: Again;
  /**
   * Returns names in the work directory that later stages read: the checkpoint is valid only while all of
   * them exist. `run` makes them durable before it returns.
   */
  files?(output: Output): string[];
  /** Removes what a failed or cancelled run of this stage left behind. Must not throw. */
  cleanup?(context: StageContext): Promise<void>;
}
