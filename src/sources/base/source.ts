import type { Logger } from 'pino';
import type { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import type { PassedOver } from '../../model/drop.js';
import type { Hardware } from '../../model/hardware.js';
import type { Warning } from '../../model/plan.js';
import type { Chain } from '../../model/storage.js';

export interface Progress {
  /** 0 to 100. */
  percent: number;
  bytesPerSecond?: number;
  /** What is being done now, static text for people: `launching appliance`. */
  step?: string;
}

/** What a source may use of the job that it is opened for. */
export interface SourceContext {
  options: JobOptions;
  /** The job's own directory, mode 0700: what a source lands, unpacks or makes goes there. */
  workDirectory: string;
  signal: AbortSignal;
  log: Logger;
  progress(progress: Progress): void;
  /**
   * Asks for room in the work directory before it is written to: `bytes` is the most that this stage and
   * those after it write in all, of which `written` bytes are there already. What was reserved before is
   * replaced, or with `atLeast` not lowered. Rejects with `host.no-space` (it cannot fit beside the drop, the
   * job fails), `host.waits-for-space` (others have it, the job is put back into the queue).
   */
  reserve(bytes: number, options?: { written?: number; atLeast?: boolean }): Promise<void>;
  /** Bytes that were read from the source and written to disk, added to the stage's account. */
  account(bytes: { read?: number; written?: number }): void;
}

/** A VM as its source gives it: nothing of it is read again to find out what it is. */
export interface OpenSource {
  /** What the source says of the VM's hardware. */
  hardware: Hardware;
  /**
   * In the VM's order, at least one. `controller`: bus and unit on the old hypervisor (`scsi0:0`), null where
   * that is not known.
   */
  disks: { controller: string | null; chain: Chain }[];
  /** All of its files, for the report: paths relative to the source, sizes in bytes. */
  files: { path: string; size: number }[];
  /** Those of them that are not part of the disks. */
  passedOver: PassedOver[];
  /** What its owner should know, and what did not keep it from being opened. */
  warnings: Warning[];
  /**
   * Undoes elsewhere what opening did there (a snapshot, a lease). Called once, when nothing reads from the
   * source any more: at the end of the pipeline's run, or before the source is opened again.
   */
  close?(outcome: 'done' | 'failed'): Promise<void>;
}

/**
 * Who gives the bytes of a VM. A new one is a folder in sources/ and a line in registry.ts. `Spec` is what it
 * needs to know of a job: parsed from the job's `source` options and `drop`, the place of the drop.
 */
export interface Source<Spec = unknown> {
  /** `[source] type` of a job.toml; `local` is the drop itself. */
  type: string;
  spec: z.ZodType<Spec>;
  /**
   * Returns an id of what would be read now: part of every stage's content id. Another id, and all stages run
   * again.
   */
  contentId(spec: Spec, signal: AbortSignal): Promise<string>;
  /**
   * Finds the VM's disks, checks that they are whole, and returns them with every header and table read once.
   * What it leaves when it rejects must not matter to the next call. Errors: `fetch.*`, and the source's own.
   */
  open(spec: Spec, context: SourceContext): Promise<OpenSource>;
}
