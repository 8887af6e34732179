/**
 * `owner`: who runs the job. `token`: how often it was started; what a run writes names the token that it was
 * started with. The database's own owner is made once and stays, whatever the host is called. A claimed
 * entry's `stamp` is called `fingerprint` now; inside a JSON string the quotes would be escaped.
 */
export const owner = `
ALTER TABLE jobs ADD COLUMN owner TEXT;
ALTER TABLE jobs ADD COLUMN token INTEGER NOT NULL DEFAULT 0;
INSERT INTO settings VALUES ('owner', lower(hex(randomblob(8))));
UPDATE jobs SET token = 1 WHERE started_at IS NOT NULL;
UPDATE jobs SET owner = (SELECT value FROM settings WHERE key = 'owner') WHERE state = 'running';
UPDATE claims SET claim = replace(claim, '"stamp":', '"fingerprint":');
`;
