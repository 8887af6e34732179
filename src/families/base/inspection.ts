import type { GuestReader } from '../../access/guest-reader.js';
import type { Storage } from '../../access/storage.js';
import type { Nic } from '../../model/hardware.js';
import type { Identity } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import type { OtherSystem } from './as-is.js';

/**
 * The VM's disks, with the bus of each on the old hypervisor (`scsi0:0`, null where unknown), because device
 * names may depend on it.
 */
export interface GuestDisks {
  storage: Storage;
  controllers: readonly (string | null)[];
  /** The root that the operator chose among several, by the guest's name for it; null if nobody did. */
  chosenRoot: string | null;
}

/** A filesystem that holds a system, with the mount options that select its tree (`subvol=@`). */
export interface RootCandidate {
  device: string;
  options: string;
  /** What `detect` knows of a system that is converted as it is. */
  system?: OtherSystem;
}

export interface Unmountable {
  device: string;
  /** The index of its disk; absent or null where there is none or several, as of a logical volume. */
  disk?: number | null;
  /** Why, for people. */
  reason: string;
  /** What the refusal's own code says. */
  code: string;
}

export interface Detection {
  /** The family's system that the VM boots, or null if it has none. */
  root: RootCandidate | null;
  /** Filesystems of the family's types that could not be examined. */
  unmountable: readonly Unmountable[];
}

export interface InspectContext extends GuestDisks {
  /** From the job or the VM's description; null if the guest has to be examined. */
  firmware: Identity['firmware'] | null;
  /** The VM's network cards by its own description. */
  nics: readonly Nic[];
  workDirectory: string;
  signal: AbortSignal;
  progress(progress: { percent: number; step: string }): void;
}

export interface Inspected {
  identity: Identity;
  /** A file in the work directory with everything that the family's fixers read; durable. */
  snapshot: string;
  /** Its SHA-256. */
  snapshotSha256: string;
  /** A file in the work directory with the entries of each initramfs, by guest path; durable. */
  initramfsListings: string;
  warnings: readonly Warning[];
}

/**
 * What INSPECT asks of a family of operating systems. Nothing of the guest is mounted before and after each
 * call.
 */
export interface FamilyInspection {
  /**
   * Looks for a system of the family on the VM's filesystems. Rejects with an `inspect.*` code if there are
   * several and nothing tells which one the VM boots. `unmountable` is what earlier families found.
   */
  detect(reader: GuestReader, disks: GuestDisks & Pick<Detection, 'unmountable'>): Promise<Detection>;
  inspect(reader: GuestReader, root: RootCandidate, context: InspectContext): Promise<Inspected>;
}
