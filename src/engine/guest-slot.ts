import type { Logger } from 'pino';
import type { GuestAccess, GuestRequest } from '../access/guest-access.js';

type GuestDisks = Pick<GuestRequest, 'disks' | 'sectorSizes'>;
type Open = (disks: GuestDisks, log: Logger) => Promise<GuestAccess>;

/**
 * The job's one access to its guest and the lane slot that this occupies: both are taken at INSPECT and given
 * back together, at the end of FIX or when the job fails. An access that took part in a failed attempt is
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

  /** As `GuestAccess.close`; nothing where none is open. */
  async close(): Promise<void> {
    const access = this.#access;
    this.#access = null;
    try {
      await (await access)?.close();
    } finally {
      this.#free();
    }
  }

  /** As `GuestAccess.kill`; nothing where none is open. */
  async kill(): Promise<void> {
    const access = this.#access;
    this.#access = null;
    await access?.then(
      (opened) => opened.kill(),
      // It was never open: the attempt that wanted it has this error.
      () => undefined,
    );
    this.#free();
  }

  #free(): void {
    this.#release?.();
    this.#release = null;
  }
}
