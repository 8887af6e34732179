/**
 * A running libguestfs appliance with the job's disks, as INSPECT and FIX see it. Guest strings are data. Every call rejects with a
 * Hyper2kvmError: `guest.<call>` with the C API's message and errno, `guest.timeout`, `guest.died`.
 */
export interface ApplianceSession {
  /**
   * Calls one function of libguestfs' C API by name without the `guestfs_` prefix. Arguments are strings, numbers, booleans, Buffers and string
   * lists in the API's order; optional arguments go into the last object. The result has the API's type as JSON, Buffers for RBufferOut.
   * Only functions that guest/api.ts declares.
   */
  call(name: string, ...args: unknown[]): Promise<unknown>;
  /** Writable overlays by disk index, file names in the work directory: what FIX changed is in them. */
  overlays: readonly string[];
  /** Puts a further overlay on every disk, live: what was written before stays in `overlays`, what follows goes to the returned files. */
  addLayer(suffix: string): Promise<string[]>;
  /** Bytes read and written on the guest's disks so far, by QMP. */
  traffic(): Promise<{ read: number; written: number }>;
  accelerator: 'kvm' | 'tcg';
  launchSeconds: number;
}
