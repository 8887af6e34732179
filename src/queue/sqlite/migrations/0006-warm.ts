/**
 * `warm`: how far a job is whose base was dropped before its VM was off. `delta`: the directory in work/ of the
 * drop with what has changed since, until the job's next run takes it in.
 */
export const warm = `
ALTER TABLE jobs ADD COLUMN warm TEXT CHECK (warm IN ('preparing', 'parked', 'cutover'));
ALTER TABLE jobs ADD COLUMN delta TEXT;
CREATE INDEX jobs_warm ON jobs (warm) WHERE warm IS NOT NULL;
`;
