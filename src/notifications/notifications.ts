import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import { backoff } from '../engine/retry.js';
import { errorRecord } from '../errors/error.js';
import type { NewNotification, Outbox, PendingNotification } from '../queue/outbox.js';
import { deliver, type NotifyCommand, type Webhook } from './deliver.js';
import type { NotifyEvent } from './event.js';

export interface NotificationParts {
  outbox: Outbox;
  config(): Config;
  log: Logger;
}

/** Pause after the database did not answer. */
const DATABASE_REST_MS = 30_000;

/**
 * Notifies the configured receivers of events, at least once each: a notification is put into the outbox with
 * the event, delivered in the background, one at a time for each receiver, and retried up to
 * `notify.attempts` times, even over restarts. Nothing waits for it.
 */
export class Notifications {
  readonly #parts: NotificationParts;
  readonly #active = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #started = false;
  #working: Promise<void> | null = null;
  #again = false;

  constructor(parts: NotificationParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#started = true;
    this.wake();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#working;
    await Promise.all(this.#active.values());
  }

  /** Returns what the receivers of the event are sent, for the transaction of the event itself. */
  messages(event: NotifyEvent): NewNotification[] {
    const time = new Date().toISOString();
    return targetsOf(this.#parts.config())
      .filter(({ events }) => events.includes(event.event))
      .map(({ name }) => {
        const key = randomUUID();
        const body = JSON.stringify({ id: key, time, host: hostname(), ...event });
        return { key, target: name, event: event.event, body };
      });
  }

  /** Something may be in the outbox. */
  wake(): void {
    if (!this.#started || this.#stop.signal.aborted) return;
    this.#again = true;
    this.#working ??= this.#workAll().finally(() => {
      this.#working = null;
    });
  }

  async #workAll(): Promise<void> {
    while (this.#again && !this.#stop.signal.aborted) {
      this.#again = false;
      try {
        await this.#beginDue();
      } catch (err) {
        this.#databaseFailed(err);
      }
    }
  }

  /** Starts what is due, and schedules the next run. */
  async #beginDue(): Promise<void> {
    const { outbox } = this.#parts;
    const now = Date.now();
    for (const target of await outbox.targets()) {
      if (this.#active.has(target) || (await outbox.due(target, now)) === null) continue;
      if (!this.#stop.signal.aborted) this.#begin(target);
    }
    const next = await outbox.nextAt(now);
    this.#comeBack(next === null ? null : next - now);
  }

  #begin(target: string): void {
    const done = this.#drain(target).then(
      () => {
        this.#active.delete(target);
        this.wake();
      },
      (err: unknown) => {
        this.#active.delete(target);
        this.#databaseFailed(err);
      },
    );
    this.#active.set(target, done);
  }

  /** Delivers everything that is due for one receiver. Throws only errors of the database. */
  async #drain(target: string): Promise<void> {
    const { outbox } = this.#parts;
    while (!this.#stop.signal.aborted) {
      const notification = await outbox.due(target, Date.now());
      if (notification === null) return;
      await this.#try(notification);
    }
  }

  async #try(notification: PendingNotification): Promise<void> {
    const { outbox, config, log } = this.#parts;
    const { target, event, key } = notification;
    const receiver = targetsOf(config()).find(({ name }) => name === target);
    const facts = { target, event, key };
    if (receiver === undefined) {
      await outbox.settle(notification, 'given_up');
      log.warn(facts, 'notification given up: its receiver is no longer configured');
      return;
    }
    const failure = await deliver(receiver, notification, this.#stop.signal).then(
      () => null,
      (thrown: unknown) => errorRecord(thrown),
    );
    if (failure === null) {
      await outbox.settle(notification, 'delivered');
      log.debug(facts, 'notification delivered');
      return;
    }
    // Aborted by us: it is delivered at the next start.
    if (this.#stop.signal.aborted) return;
    const { attempts: most, backoff_seconds } = config().notify;
    const attempts = notification.attempts + 1;
    const { code, message, advice } = failure;
    if (attempts >= most) {
      await outbox.settle(notification, 'given_up');
      log.error({ ...facts, attempts, code, error: message, advice }, 'notification given up');
      return;
    }
    const waitSeconds = backoff(attempts, backoff_seconds);
    await outbox.postpone(notification.id, attempts, Date.now() + Math.ceil(waitSeconds * 1000));
    // A warning only at the first attempt, so that a receiver that is down for an hour does not fill the log.
    log[attempts === 1 ? 'warn' : 'debug'](
      { ...facts, attempts, wait_seconds: waitSeconds, code, error: message, advice },
      'notification not delivered, retrying',
    );
  }

  #comeBack(milliseconds: number | null): void {
    clearTimeout(this.#timer);
    if (milliseconds === null || this.#stop.signal.aborted) return;
    this.#timer = setTimeout(() => this.wake(), milliseconds).unref();
  }

  #databaseFailed(err: unknown): void {
    this.#parts.log.error({ err }, 'notifications cannot be read from the queue');
    this.#comeBack(DATABASE_REST_MS);
  }
}

function targetsOf({ notify }: Config): (Webhook | NotifyCommand)[] {
  return [...notify.webhooks, ...notify.commands];
}
