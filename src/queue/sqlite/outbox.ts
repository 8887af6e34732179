import {
  LONGEST_WAIT_MS,
  type NewNotification,
  type NotificationOutcome,
  type Outbox,
  type PendingNotification,
} from '../outbox.js';
import type { Sqlite } from './open.js';

export interface SqliteOutbox extends Outbox {
  /** Runs in the transaction of the event itself. */
  insert(notifications: readonly NewNotification[], now: number): void;
}

type Count = Awaited<ReturnType<Outbox['counts']>>[number];

export function sqliteOutbox(database: Sqlite): SqliteOutbox {
  const insert = database.prepare<[NewNotification & { now: number }]>(
    'INSERT INTO outbox (key, target, event, body, next_at) VALUES (@key, @target, @event, @body, @now)',
  );
  const due = database.prepare<[{ target: string; now: number; far: number }], PendingNotification>(
    `SELECT id, key, target, event, body, attempts FROM outbox
     WHERE target = @target AND (next_at <= @now OR next_at > @far) ORDER BY attempts, id LIMIT 1`,
  );
  const postpone = database.prepare<[number, number, number]>(
    'UPDATE outbox SET attempts = ?, next_at = ? WHERE id = ?',
  );
  const remove = database.prepare<[number]>('DELETE FROM outbox WHERE id = ?');
  const count = database.prepare<[string, NotificationOutcome]>(
    `INSERT INTO notification_counts (target, outcome, count) VALUES (?, ?, 1)
     ON CONFLICT (target, outcome) DO UPDATE SET count = count + 1`,
  );
  const targets = database.prepare<[], { target: string }>('SELECT DISTINCT target FROM outbox');
  const next = database.prepare<[number], { next: number | null }>(
    'SELECT min(next_at) AS next FROM outbox WHERE next_at > ?',
  );
  const counts = database.prepare<[], Count>(
    `SELECT target, outcome, count FROM notification_counts
     UNION ALL SELECT target, 'pending', count(*) FROM outbox GROUP BY target ORDER BY target, outcome`,
  );
  const insertAll = database.transaction((notifications: readonly NewNotification[], now: number) => {
    for (const notification of notifications) insert.run({ ...notification, now });
  });
  const settle = database.transaction(
    ({ id, target }: PendingNotification, outcome: NotificationOutcome): void => {
      remove.run(id);
      count.run(target, outcome);
    },
  );
  return {
    insert: insertAll,
    async add(notifications, now = Date.now()) {
      insertAll(notifications, now);
    },
    async due(target, now) {
      return due.get({ target, now, far: now + LONGEST_WAIT_MS }) ?? null;
    },
    async postpone(id, attempts, nextAt) {
      postpone.run(attempts, nextAt, id);
    },
    async settle(notification, outcome) {
      settle(notification, outcome);
    },
    async targets() {
      return targets.all().map(({ target }) => target);
    },
    async nextAt(now) {
      return next.get(now)?.next ?? null;
    },
    async counts() {
      return counts.all();
    },
  };
}
