import type { z } from 'zod';
import type { GuestAccess } from '../access/guest-access.js';
import type { JobOptions } from '../config/schema.js';
import type { Hyper2kvmError } from '../errors/error.js';
import type { DropPlace } from '../model/drop.js';
import type { OpenSource, SourceContext } from '../sources/base/source.js';

export type { Progress } from '../sources/base/source.js';

/**
 * The scarce resource that a stage holds while it runs. `appliances` stays held from INSPECT to the end of
 * FIX.
 */
export type LaneName = 'appliances' | 'conversions' | 'boots';

/** What a stage waits for, for people. */
export const FREE_SLOT: Readonly<Record<LaneName, string>> = {
  appliances: 'a free appliance slot',
  conversions: 'a free conversion slot',
  boots: 'a free boot slot',
};

/**
 * What a stage has, beside what its job's source may use, too. It writes scratch and results only to the work
 * directory.
 */
export interface StageContext extends SourceContext {
  job: { id: string; vm: string };
  /**
   * The drop, read-only for every stage, and nobody else changes it while they run: `work/<job>/source` in
   * the daemon, the user's own place in `convert`, or a copy in the work directory.
   */
  source: DropPlace;
  /** Opens the job's source, which may be another one than the drop. */
  openSource(): Promise<OpenSource>;
  /**
   * The VM's guest, by the job's one appliance: launched on first use, shared by INSPECT and FIX. `disks` are
   * flat images (FLATTEN's overlays): what is written goes to overlays on them, so the images stay unchanged. `sectorSizes`: as
   * `GuestRequest` has them.
   */
  guest(disks: readonly string[], sectorSizes?: readonly number[]): Promise<GuestAccess>;
  /** Ends that access cleanly, with all that was written on disk. Nothing where there is none. */
  closeGuest(): Promise<void>;
}

/**
 * One step of the pipeline. Input is the earlier stages' outputs by name (the schema picks those it needs),
 * output is plain JSON: it is the checkpoint. `run` may be called again from the start at any time; what it
 * left before must not matter.
 */
export interface Stage<Input = unknown, Output = unknown> {
  name: string;
  /** Raise when the output for the same input changes: checkpoints of the old version stop to hold. */
  version: number;
  lane?: LaneName;
  input: z.ZodType<Input>;
  output: z.ZodType<Output>;
  /** The options this stage depends on, plain JSON: part of its content id. */
  dependsOn(options: JobOptions): unknown;
  /** False: the stage is skipped as a whole (status `skipped`, output null). */
  enabled?(options: JobOptions): boolean;
  /**
   * Throws where the options ask for what this stage cannot do. Called for all stages before the first one
   * runs, so that nobody waits an hour for an answer that needs no disk. Pure.
   */
  check?(options: JobOptions): void;
  run(context: StageContext, input: Input): Promise<Output>;
  /**
   * Whether the job may go on with this output: null, or the error that it fails with, for good. `run` gives
   * the facts, this is the policy: it is asked when the checkpoint is saved, and again whenever the
   * checkpoint is used, so that a retry with other options need not run the stage again. The options that
   * only this function reads do not belong into `dependsOn`. Pure.
   */
  accept?(output: Output, options: JobOptions): Hyper2kvmError | null;
  /**
   * Names in the work directory that later stages read: the checkpoint holds only as long as all of them are
   * there. `run` has made them durable before it returns.
   */
  files?(output: Output): string[];
  /** Removes what this stage's failed or cancelled run left. Must not throw. */
  cleanup?(context: StageContext): Promise<void>;
}
