import type { Logger } from 'pino';
import type { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import type { PassedOver } from '../../model/drop.js';
import type { Hardware } from '../../model/hardware.js';
import type { Warning } from '../../model/plan.js';
import type { RemoteFacts } from '../../model/remote.js';
import type { Chain } from '../../model/storage.js';

export interface Progress {
  /** 0 to 100. */
  percent: number;
  bytesPerSecond?: number;
  /** Only if the stage knows better than the time that it took so far. */
  etaSeconds?: number;
  /** The current step, static text for people: `launching appliance`. */
  step?: string;
}

/** What a source may use of the job that it is opened for. */
export interface SourceContext {
  job: { id: string; vm: string };
  options: JobOptions;
  /** The job's directory, mode 0700, for everything that a source downloads, unpacks or creates. */
  workDirectory: string;
  signal: AbortSignal;
  log: Logger;
  progress(progress: Progress): void;
  /**
   * Reserves space in the work directory before it is written to. `bytes` is the most that this stage and
   * those after it will write in all, of which `written` bytes are there already. Replaces the earlier
   * reservation; with `atLeast` it is never lowered. Rejects with `host.no-space` (it cannot fit at all, the
   * job fails) or `host.waits-for-space` (others hold it, the job returns to the queue).
   */
  reserve(bytes: number, options?: { written?: number; atLeast?: boolean }): Promise<void>;
  /** Adds bytes read from the source and bytes written to disk to the stage's totals. */
  account(bytes: { read?: number; written?: number }): void;
  /**
   * Reports work that a further attempt continues after. Earlier failures and crashes then no longer count
   * against the job: a transfer of a day may break off more often than another stage.
   */
  advanced(): void;
}

/**
 * A VM as its source provides it, described completely: later stages read nothing again to find out what it
 * is.
 */
export interface OpenSource {
  /** The VM's hardware as the source describes it. */
  hardware: Hardware;
  /**
   * In the VM's order, at least one. `controller` is bus and unit on the old hypervisor (`scsi0:0`), null if
   * unknown.
   */
  disks: { controller: string | null; chain: Chain }[];
  /** All files of the VM, for the report: paths relative to the source, sizes in bytes. */
  files: { path: string; size: number }[];
  /** Those files that are not part of a disk. */
  passedOver: PassedOver[];
  /** What the VM's owner should know although the source could be opened. */
  warnings: Warning[];
  /** Where it was fetched from, for the report; absent for a drop. */
  remote?: RemoteFacts;
  /**
   * Undoes what opening did on another host (a snapshot, a lease). Called once, when nothing reads from the
   * source any more: at the end of the pipeline's run, or before the source is opened again.
   */
  close?(outcome: 'done' | 'failed'): Promise<void>;
}

/**
 * Provides the bytes of a VM. A new one is a folder in sources/ and a line in registry.ts. `Spec` is what it
 * needs to know of a job, parsed from the job's `source` options and `drop`, the place of the drop.
 */
export interface Source<Spec = unknown> {
  /** The `[source] type` of a job.toml; `local` is the drop itself. */
  type: string;
  spec: z.ZodType<Spec>;
  /**
   * Returns an id of what would be read now. It is part of every stage's content id, so all stages run again
   * when it changes.
   */
  contentId(spec: Spec, signal: AbortSignal): Promise<string>;
  /**
   * Finds the VM's disks, checks that they are complete, and returns them with every header and table read
   * once. May be called again after a rejection, whatever that left behind. Errors: `fetch.*`, and the
   * source's own.
   */
  open(spec: Spec, context: SourceContext): Promise<OpenSource>;
}
