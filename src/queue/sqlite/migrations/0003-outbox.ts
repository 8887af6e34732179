/**
 * `outbox`: notifications that are not delivered yet, one row for each event and receiver. `key` stays the
 * same over all attempts. `next_at`: milliseconds since 1970. `notification_counts`: the outcomes of those
 * that have left the outbox.
 */
export const outbox = `
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  target TEXT NOT NULL,
  event TEXT NOT NULL,
  body TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_next ON outbox (target, next_at);

CREATE TABLE notification_counts (
  target TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('delivered', 'given_up')),
  count INTEGER NOT NULL,
  PRIMARY KEY (target, outcome)
) STRICT;
`;
