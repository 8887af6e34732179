import type { Logger } from 'pino';

/** A part of the daemon, started once and stopped before every part that was started earlier. */
export interface Part {
  name: string;
  start(): void | Promise<void>;
  stop?(): void | Promise<void>;
}

/** systemd waits for all parts together, so a part that takes longer is logged. */
const SLOW_SECONDS = 1;

/** Starts parts in order, and stops the started ones in reverse. */
export class Lifecycle {
  readonly #log: Logger;
  readonly #started: Part[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Rejects with the error of the first part that cannot start; those before it must still be stopped. */
  async start(parts: readonly Part[]): Promise<void> {
    for (const part of parts) {
      await part.start();
      this.#started.push(part);
    }
  }

  async stop(): Promise<void> {
    for (const part of this.#started.splice(0).reverse()) {
      const asked = performance.now();
      try {
        await part.stop?.();
      } catch (err) {
        // The earlier parts must still be stopped.
        this.#log.error({ err, part: part.name }, 'part did not stop cleanly');
      }
      const seconds = (performance.now() - asked) / 1000;
      if (seconds > SLOW_SECONDS) this.#log.warn({ part: part.name, seconds }, 'part was slow to stop');
    }
  }
}
