/** An event for one receiver. `body` is the JSON that is sent. */
export interface NewNotification {
  /** Unique; it lets the receiver recognise a repeated delivery. */
  key: string;
  /** Name of the receiver in the configuration. */
  target: string;
  event: string;
  body: string;
}

export interface PendingNotification extends NewNotification {
  id: number;
  /** Failed attempts so far. */
  attempts: number;
}

export type NotificationOutcome = 'delivered' | 'given_up';

/** No wait is longer, so that setting the clock back further than this does not delay a delivery. */
export const LONGEST_WAIT_MS = 600_000;

/**
 * Stores notifications from the event (in the event's own transaction) until they are delivered or given up.
 * Times are in milliseconds since 1970.
 */
export interface Outbox {
  add(notifications: readonly NewNotification[], now?: number): Promise<void>;
  /**
   * Returns the next one to send. Those with the fewest failures come first, so that one which its receiver
   * never accepts does not block the others.
   */
  due(target: string, now: number): Promise<PendingNotification | null>;
  postpone(id: number, attempts: number, nextAt: number): Promise<void>;
  /** Removes it from the outbox and counts it. */
  settle(notification: PendingNotification, outcome: NotificationOutcome): Promise<void>;
  /** Returns the receivers of everything in the outbox. */
  targets(): Promise<string[]>;
  /** Returns when the next one after `now` is due; null if nothing is waiting. */
  nextAt(now: number): Promise<number | null>;
  /** Returns the totals since the queue was created, by receiver; `pending` counts those in the outbox. */
  counts(): Promise<{ target: string; outcome: NotificationOutcome | 'pending'; count: number }[]>;
}
