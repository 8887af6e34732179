/**
 * `owner`: who runs the job. `token`: how often it was started; whatever a run writes includes the token that
 * it was started with. The database's own owner is created once and stays, even if the host is renamed. A
 * claimed entry's `stamp` is renamed `fingerprint`; inside a JSON string, the quotes would be escaped and so
 * not match.
 */
export const owner = `
ALTER TABLE jobs ADD COLUMN owner TEXT;
ALTER TABLE jobs ADD COLUMN token INTEGER NOT NULL DEFAULT 0;
INSERT INTO settings VALUES ('owner', lower(hex(randomblob(8))));
UPDATE jobs SET token = 1 WHERE started_at IS NOT NULL;
UPDATE jobs SET owner = (SELECT value FROM settings WHERE key = 'owner') WHERE state = 'running';
UPDATE claims SET claim = replace(claim, '"stamp":', '"fingerprint":');
`;
