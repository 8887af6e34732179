import type { GuestReader } from '../../access/guest-reader.js';
import type { Storage } from '../../access/storage.js';
import type { Identity } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';

/**
 * The VM's disks, with the old controllers by disk (`scsi0:0`, null where unknown) that device names may go
 * by.
 */
export interface GuestDisks {
  storage: Storage;
  controllers: readonly (string | null)[];
}

/** A filesystem that holds a system, with the mount options that select its tree (`subvol=@`). */
export interface RootCandidate {
  device: string;
  options: string;
}

export interface Unmountable {
  device: string;
  /** Why, for people. */
  reason: string;
  /** What the refusal's own code says. */
  code: string;
}

export interface Detection {
  /** The family's system that the VM starts, or null where it has none. */
  root: RootCandidate | null;
  /** Filesystems of the family's types that could not be looked at. */
  unmountable: readonly Unmountable[];
}

export interface InspectContext extends GuestDisks {
  /** What the job or the VM's description says; null where the guest itself is to tell. */
  firmware: Identity['firmware'] | null;
  workDirectory: string;
  signal: AbortSignal;
  progress(progress: { percent: number; step: string }): void;
}

export interface Inspected {
  identity: Identity;
  /** File in the work directory with all that the family's fixers look at; durable. */
  snapshot: string;
  /** Its SHA-256. */
  snapshotSha256: string;
  /** File in the work directory: what each initramfs lists, by guest path; durable. */
  initramfsListings: string;
  warnings: readonly Warning[];
}

/**
 * What INSPECT asks of a family of operating systems. Nothing of the guest is mounted before and after each
 * call.
 */
export interface FamilyInspection {
  /**
   * Looks for a system of the family on the VM's filesystems. Rejects with an `inspect.*` code where there is
   * one and nothing tells which of several it is.
   */
  detect(reader: GuestReader, disks: GuestDisks): Promise<Detection>;
  inspect(reader: GuestReader, root: RootCandidate, context: InspectContext): Promise<Inspected>;
}
