import type { Logger } from 'pino';
import { type Notifier, watchdogInterval } from '../host/sd-notify.js';

const STATUS_INTERVAL_MS = 1_000;
/**
 * While the daemon stops, it requests this much more time for as long as the main loop runs, up to a limit.
 */
const STOP_EXTENSION_SECONDS = 30;
const STOP_INTERVAL_MS = 10_000;
const STOP_EXTENSIONS = 30;

/**
 * Reports the daemon's state to systemd: the status line, and the watchdog only while the main loop runs and
 * the database answers.
 */
export class SystemdStatus {
  readonly #notifier: Notifier;
  readonly #statusLine: () => Promise<string>;
  readonly #ping: () => Promise<void>;
  readonly #log: Logger;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #timers: NodeJS.Timeout[] = [];
  /** From start to the beginning of the stop, after which the queue may be closed. */
  #isUp = false;

  constructor(parts: {
    notifier: Notifier;
    statusLine(): Promise<string>;
    /** Rejects if the database does not answer. */
    ping(): Promise<void>;
    log: Logger;
    env: Readonly<Record<string, string | undefined>>;
  }) {
    this.#notifier = parts.notifier;
    this.#statusLine = parts.statusLine;
    this.#ping = parts.ping;
    this.#log = parts.log;
    this.#env = parts.env;
  }

  /** The daemon is working: it has recovered, and its first scan of incoming has begun. */
  start(): void {
    this.#isUp = true;
    this.#notifier.ready();
    void this.#showStatus();
    if (this.#env.NOTIFY_SOCKET !== undefined) {
      this.#timers.push(setInterval(() => void this.#showStatus(), STATUS_INTERVAL_MS));
    }
    const interval = watchdogInterval(this.#env, process.pid);
    if (interval === null) return;
    void this.#feed();
    this.#timers.push(setInterval(() => void this.#feed(), interval));
  }

  /**
   * The daemon begins to stop. Publishing large files may take longer than the unit's TimeoutStopSec, which
   * still ends a stop that hangs.
   */
  stopping(): void {
    this.#isUp = false;
    this.#clearTimers();
    this.#notifier.stopping();
    let left = STOP_EXTENSIONS;
    const extend = () => {
      if (left === 0) return;
      left -= 1;
      this.#notifier.extendTimeout(STOP_EXTENSION_SECONDS);
      this.#notifier.watchdog();
    };
    extend();
    this.#timers.push(setInterval(extend, STOP_INTERVAL_MS));
  }

  /** The daemon has stopped. */
  stop(): void {
    this.#isUp = false;
    this.#clearTimers();
  }

  #clearTimers(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  async #showStatus(): Promise<void> {
    try {
      const line = await this.#statusLine();
      if (this.#isUp) this.#notifier.status(line);
    } catch (err) {
      if (this.#isUp) this.#log.error({ err }, 'status cannot be read from the queue');
    }
  }

  async #feed(): Promise<void> {
    try {
      await this.#ping();
      this.#notifier.watchdog();
    } catch (err) {
      if (this.#isUp) this.#log.error({ err }, 'database does not answer: watchdog not fed');
    }
  }
}
