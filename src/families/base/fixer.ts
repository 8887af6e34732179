import type { Config } from '../../config/schema.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Hardware } from '../../model/hardware.js';
import type { Devices, PlannedNic, Warning } from '../../model/plan.js';
import type { GuestState } from '../../operations/operation.js';
import type { Operation } from '../../operations/registry.js';

/** The guest as a fixer sees it: pure values, no I/O. `tree` already shows what earlier fixers planned. */
export interface Guest extends GuestState {
  hardware: Hardware;
  options: Config['fix'];
  /** The operator's packages of qemu-guest-agent for this guest, sorted; empty where there are none. */
  packages: Packages;
  /** Buses of the source's disks by index (`scsi0:0`), null where unknown. */
  controllers: (string | null)[];
}

/** `directory` on the host, `files` in it with their SHA-256. */
export interface Packages {
  directory: string;
  files: readonly { file: string; sha256: string }[];
}

export interface FixerResult {
  operations: Operation[];
  warnings: Warning[];
  /** Only from the fixer that decides it. */
  devices?: Devices;
  nics?: PlannedNic[];
}

/** The guest after FIX: as it was, as it should be, and what was read back from it. */
export interface FixedGuest {
  before: GuestTree;
  after: GuestState;
  /** A file's content as it is now; null where it is not there. */
  read(path: string): Buffer | null;
}

/** The rule that decides the boot, asked of the guest itself and not of the plan. Both functions are pure. */
export interface Proof {
  /** The guest paths that `check` reads. */
  paths(after: GuestState): string[];
  /** One line for each thing that was found right. Throws `fix.unproven`. */
  check(guest: FixedGuest): string[];
}

/**
 * One concern. Pure: the same guest gives the same operations in the same order. Nothing wrong: nothing
 * returned. Cannot be right: throws a Hyper2kvmError with a stable `plan.*` code.
 */
export interface Fixer {
  name: string;
  /** One paragraph for docs/changes.md ("what is changed in my guest"), generated from here. */
  description: string;
  plan(guest: Guest): FixerResult;
  /** What the operations prove by themselves needs none: changed files are read back and compared. */
  proof?: Proof;
}
