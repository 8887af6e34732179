import type { GuestfsArguments, GuestfsName, GuestfsResult } from './functions.js';

/**
 * A running libguestfs appliance with the job's disks, by the C API's own names: only this folder speaks to
 * it. Guest strings are data. Every call rejects with a Hyper2kvmError: `guest.call-failed` with the C API's
 * message and errno, `guest.timeout`, `guest.died`.
 */
export interface ApplianceSession {
  /**
   * Calls one function of libguestfs' C API (without the `guestfs_` prefix), as appliance/functions.ts
   * declares it. Optional arguments go into a last object.
   */
  call<N extends GuestfsName>(name: N, ...args: GuestfsArguments<N>): Promise<GuestfsResult<N>>;
  /** Writable overlays by disk index, file names in the work directory: what was written is in them. */
  overlays: readonly string[];
  /**
   * Puts a further overlay on every disk, live: what was written before stays in the layer below, what
   * follows goes to the returned files (`<suffix>-disk<N>.qcow2`). Filesystems must be unmounted.
   */
  addLayer(suffix: string): Promise<string[]>;
  /** Bytes read and written on the guest's disks so far, by QMP. */
  traffic(): Promise<{ read: number; written: number }>;
}
