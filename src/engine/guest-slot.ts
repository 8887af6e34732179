import type { Logger } from 'pino';
import type { GuestAccess, GuestRequest } from '../access/guest-access.js';

type GuestDisks = Pick<GuestRequest, 'disks' | 'sectorSizes'>;
type Open = (disks: GuestDisks, log: Logger) => Promise<GuestAccess>;

/**
 * The job's access to its guest and the appliance slot that it occupies. Both are acquired at INSPECT and
 * released together, at the end of FIX or when the job fails. An access that was used in a failed attempt is
 * never used again.
 */
export class GuestSlot {
  readonly #open: Open;
  #access: Promise<GuestAccess> | null = null;
  #release: (() => void) | null = null;

  constructor(open: Open) {
    this.#open = open;
  }

  get isOpen(): boolean {
    return this.#access !== null;
  }

  get holdsLane(): boolean {
    return this.#release !== null;
  }

  occupy(release: () => void): void {
    this.#release = release;
  }

  access(disks: GuestDisks, log: Logger): Promise<GuestAccess> {
    this.#access ??= this.#open(disks, log);
    return this.#access;
  }

  /** Like `GuestAccess.close`; does nothing if none is open. */
  async close(): Promise<void> {
    const access = this.#access;
    this.#access = null;
    try {
      await (await access)?.close();
    } finally {
      this.#free();
    }
  }

  /** Like `GuestAccess.kill`; does nothing if none is open. */
  async kill(): Promise<void> {
    const access = this.#access;
    this.#access = null;
    await access?.then(
      (opened) => opened.kill(),
      // It was never opened: the attempt that asked for it has the error.
      () => undefined,
    );
    this.#free();
  }

  #free(): void {
    this.#release?.();
    this.#release = null;
  }
}
