/** One event for one receiver. `body`: the JSON that is sent. */
export interface NewNotification {
  /** Unique; the receiver knows a repeated delivery by it. */
  key: string;
  /** Name of the receiver in the configuration. */
  target: string;
  event: string;
  body: string;
}

export interface PendingNotification extends NewNotification {
  id: number;
  /** Failed ones so far. */
  attempts: number;
}

export type NotificationOutcome = 'delivered' | 'given_up';

/** A clock that was set back by more than this must not hold a delivery: no wait is ever longer. */
export const LONGEST_WAIT_MS = 600_000;

/**
 * Notifications from the event (in the event's own transaction) until they are delivered or given up. Times
 * are milliseconds since 1970.
 */
export interface Outbox {
  add(notifications: readonly NewNotification[], now?: number): Promise<void>;
  /**
   * The next to try; those that failed least go first, so that one which its receiver never takes holds up
   * no other.
   */
  due(target: string, now: number): Promise<PendingNotification | null>;
  postpone(id: number, attempts: number, nextAt: number): Promise<void>;
  /** It leaves the outbox and is counted. */
  settle(notification: PendingNotification, outcome: NotificationOutcome): Promise<void>;
  /** Receivers of what is in the outbox. */
  targets(): Promise<string[]>;
  /** When the next one after `now` is due; null when nothing waits. */
  nextAt(now: number): Promise<number | null>;
  /** Since the queue was made, by receiver; `pending` are in the outbox now. */
  counts(): Promise<{ target: string; outcome: NotificationOutcome | 'pending'; count: number }[]>;
}
