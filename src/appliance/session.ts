import type { GuestfsArguments, GuestfsName, GuestfsResult } from './functions.js';

/**
 * A running libguestfs appliance with the job's disks, by the C API's own names; only this folder uses it.
 * Guest strings are data. Every call rejects with a Hyper2kvmError: `guest.call-failed` with the C API's
 * message and errno, `guest.timeout`, `guest.died`.
 */
export interface ApplianceSession {
  /**
   * Calls one function of libguestfs's C API (without the `guestfs_` prefix), as appliance/functions.ts
   * declares it. Optional arguments go in a last object.
   */
  call<N extends GuestfsName>(name: N, ...args: GuestfsArguments<N>): Promise<GuestfsResult<N>>;
  /** Writable overlays by disk index, file names in the work directory, which contain what was written. */
  overlays: readonly string[];
  /**
   * Adds another overlay on every running disk: what was written before stays in the layer below, and later
   * writes go to the returned files (`<suffix>-disk<N>.qcow2`). Filesystems must be unmounted.
   */
  addLayer(suffix: string): Promise<string[]>;
  /** Bytes read from and written to the guest's disks so far, by QMP. */
  traffic(): Promise<{ read: number; written: number }>;
}
