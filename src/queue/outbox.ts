import type { Sqlite } from './database.js';

/** One event for one receiver. `body`: the JSON that is sent. */
export interface Notification {
  /** Unique; the receiver knows a repeated delivery by it. */
  key: string;
  /** Name of the receiver in the configuration. */
  target: string;
  event: string;
  body: string;
}

export interface PendingNotification extends Notification {
  id: number;
  /** Failed ones so far. */
  attempts: number;
}

export type NotificationOutcome = 'delivered' | 'given_up';

/** A clock that was set back by more than this must not hold a delivery: no wait is ever longer. */
const LONGEST_WAIT_MS = 600_000;

/** Notifications from the event (in the event's own transaction) until they are delivered or given up. Times are milliseconds since 1970. */
export class Outbox {
  readonly #database: Sqlite;
  readonly #insert;
  readonly #due;
  readonly #postpone;
  readonly #delete;
  readonly #count;

  constructor(database: Sqlite) {
    this.#database = database;
    this.#insert = database.prepare<[Notification & { now: number }]>(
      'INSERT INTO outbox (key, target, event, body, next_at) VALUES (@key, @target, @event, @body, @now)',
    );
    this.#due = database.prepare<[{ target: string; now: number; far: number }], PendingNotification>(
      `SELECT id, key, target, event, body, attempts FROM outbox
       WHERE target = @target AND (next_at <= @now OR next_at > @far) ORDER BY attempts, id LIMIT 1`,
    );
    this.#postpone = database.prepare<[number, number, number]>(
      'UPDATE outbox SET attempts = ?, next_at = ? WHERE id = ?',
    );
    this.#delete = database.prepare<[number]>('DELETE FROM outbox WHERE id = ?');
    this.#count = database.prepare<[string, NotificationOutcome]>(
      `INSERT INTO notification_counts (target, outcome, count) VALUES (?, ?, 1)
       ON CONFLICT (target, outcome) DO UPDATE SET count = count + 1`,
    );
  }

  add(notification: Notification, now: number): void {
    this.#insert.run({ ...notification, now });
  }

  /** The next to try; those that failed least go first, so that one which its receiver never takes holds up no other. */
  due(target: string, now: number): PendingNotification | null {
    return this.#due.get({ target, now, far: now + LONGEST_WAIT_MS }) ?? null;
  }

  postpone(id: number, attempts: number, nextAt: number): void {
    this.#postpone.run(attempts, nextAt, id);
  }

  /** It leaves the outbox and is counted. */
  settle({ id, target }: PendingNotification, outcome: NotificationOutcome): void {
    this.#database.transaction(() => {
      this.#delete.run(id);
      this.#count.run(target, outcome);
    })();
  }

  /** Receivers of what is in the outbox. */
  targets(): string[] {
    return this.#database
      .prepare<[], { target: string }>('SELECT DISTINCT target FROM outbox')
      .all()
      .map(({ target }) => target);
  }

  /** When the next one after `now` is due; null when nothing waits. */
  nextAt(now: number): number | null {
    return (
      this.#database
        .prepare<[number], { next: number | null }>(
          'SELECT min(next_at) AS next FROM outbox WHERE next_at > ?',
        )
        .get(now)?.next ?? null
    );
  }

  /** Since the database was made, by receiver; `pending` are in the outbox now. */
  counts(): { target: string; outcome: NotificationOutcome | 'pending'; count: number }[] {
    return this.#database
      .prepare<[], { target: string; outcome: NotificationOutcome | 'pending'; count: number }>(
        `SELECT target, outcome, count FROM notification_counts
         UNION ALL SELECT target, 'pending', count(*) FROM outbox GROUP BY target ORDER BY target, outcome`,
      )
      .all();
  }
}
