import type { Logger } from 'pino';

/** Something of the daemon that is started once, and stopped before everything that was started before it. */
export interface Part {
  name: string;
  start(): void | Promise<void>;
  stop?(): void | Promise<void>;
}

/** systemd waits for all of them together: what takes longer is worth a line. */
const SLOW_SECONDS = 1;

/** Starts parts in order, and stops in reverse those that were started. */
export class Lifecycle {
  readonly #log: Logger;
  readonly #started: Part[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Rejects with the error of the first part that cannot start; those before it still have to be stopped. */
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
        // The parts below it still have to be stopped.
        this.#log.error({ err, part: part.name }, 'part did not stop cleanly');
      }
      const seconds = (performance.now() - asked) / 1000;
      if (seconds > SLOW_SECONDS) this.#log.warn({ part: part.name, seconds }, 'part was slow to stop');
    }
  }
}
