import type { Config } from '../../config/schema.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Hardware } from '../../model/hardware.js';
import type { Identity, LinuxIdentity } from '../../model/identity.js';
import type { Devices, PlannedNic, Warning } from '../../model/plan.js';
import type { GuestState } from '../../operations/operation.js';
import type { Operation } from '../../operations/registry.js';
import type { HostFiles } from './host-files.js';

/**
 * The guest as a fixer sees it: pure values, no I/O. `tree` already includes what earlier fixers planned. Linux
 * is the default here because nearly all fixers are for it.
 */
export interface Guest<I extends Identity = LinuxIdentity> extends GuestState<I>, HostFiles {
  /** The new VM's name. */
  vm: string;
  hardware: Hardware;
  options: Config['fix'];
  /** The bus of each source disk by index (`scsi0:0`), null where unknown. */
  controllers: (string | null)[];
}

export interface FixerResult {
  operations: Operation[];
  warnings: Warning[];
  /** Set only by the fixer that chooses the devices. */
  devices?: Devices;
  nics?: PlannedNic[];
}

/** The guest after FIX: its state before, its planned state, and what was read back from it. */
export interface FixedGuest<I extends Identity = LinuxIdentity> {
  before: GuestTree;
  after: GuestState<I>;
  /** Returns a file's current content, or null if it does not exist. */
  read(path: string): Buffer | null;
}

/**
 * The rule that decides whether the guest boots, checked on the guest itself and not on the plan. Both
 * functions are pure.
 */
export interface Proof<I extends Identity = LinuxIdentity> {
  /** The guest paths that `check` reads. */
  paths(after: GuestState<I>): string[];
  /** Returns one line for each thing that is as it should be. Throws `fix.unproven`. */
  check(guest: FixedGuest<I>): string[];
}

/**
 * A fixer for one concern. Pure: the same guest gives the same operations in the same order, and a guest that
 * needs nothing gives none. Throws a Hyper2kvmError with a stable `plan.*` code if the guest cannot be fixed.
 */
export interface Fixer<I extends Identity = LinuxIdentity> {
  name: string;
  /**
   * True if the guest still starts on its old hypervisor with these changes and nothing that runs in it
   * notices them: `hyper2kvm live` plans such fixers alone.
   */
  whileRunning: boolean;
  /** One paragraph, from which docs/changes.md is generated. */
  description: string;
  plan(guest: Guest<I>): FixerResult;
  /** Not needed for what the operations check themselves: changed files are read back and compared. */
  proof?: Proof<I>;
}
