import type { Config } from '../../config/schema.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Hardware } from '../../model/hardware.js';
import type { Identity } from '../../model/identity.js';
import type { Operation } from '../../model/operation.js';
import type { Plan, Warning } from '../../model/plan.js';

/** The guest as a fixer sees it: pure values, no I/O. `tree` already shows what earlier fixers planned. */
export interface Guest {
  identity: Identity;
  hardware: Hardware;
  tree: GuestTree;
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
  devices?: Plan['devices'];
  nics?: Plan['nics'];
}

/**
 * One concern. Pure: the same guest gives the same operations in the same order. Nothing wrong: nothing returned. Cannot be right: throws a
 * Hyper2kvmError with a stable `plan.*` code.
 */
export interface Fixer {
  name: string;
  /** One paragraph for docs/changes.md ("what is changed in my guest"), generated from here. */
  description: string;
  plan(guest: Guest): FixerResult;
}
