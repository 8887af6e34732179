import type { Logger } from 'pino';
import type { Appliance } from '../appliance/appliance.js';
import type { ApplianceSession } from '../appliance/session.js';

/**
 * The job's one appliance and the lane slot that it occupies: both are taken at INSPECT and given back together, at the end of FIX or when the job
 * fails. An appliance that took part in a failed attempt is never used again.
 */
export class ApplianceSlot {
  readonly #open: (disks: readonly string[], log: Logger) => Promise<Appliance>;
  #session: Promise<Appliance> | null = null;
  #release: (() => void) | null = null;

  constructor(open: (disks: readonly string[], log: Logger) => Promise<Appliance>) {
    this.#open = open;
  }

  get isOpen(): boolean {
    return this.#session !== null;
  }

  get holdsLane(): boolean {
    return this.#release !== null;
  }

  occupy(release: () => void): void {
    this.#release = release;
  }

  session(disks: readonly string[], log: Logger): Promise<ApplianceSession> {
    this.#session ??= this.#open(disks, log);
    return this.#session;
  }

  /** Clean shutdown. Rejects when what was written may not be complete. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    try {
      await (await session)?.close();
    } finally {
      this.#free();
    }
  }

  /** Ends it at once; what it wrote is not to be used. */
  async kill(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await session?.then(
      (appliance) => appliance.kill(),
      // It never ran: the attempt that opened it has this error.
      () => undefined,
    );
    this.#free();
  }

  #free(): void {
    this.#release?.();
    this.#release = null;
  }
}
