/**
 * `stage_totals`: the totals over all runs of a stage since the first job; a job's own records cover only its
 * last run. The indexes are for the metrics: a scan of 10,000 jobs takes 95 ms, mostly to step over the
 * records.
 */
export const stageTotals = `
CREATE TABLE stage_totals (
  stage TEXT NOT NULL,
  status TEXT NOT NULL,
  runs INTEGER NOT NULL,
  seconds REAL NOT NULL,
  bytes_read INTEGER NOT NULL,
  bytes_written INTEGER NOT NULL,
  PRIMARY KEY (stage, status)
) STRICT;
INSERT INTO stage_totals
  SELECT record.value ->> 'stage', record.value ->> 'status', count(*), total(record.value ->> 'seconds'),
         coalesce(sum(record.value ->> 'bytes_read'), 0), coalesce(sum(record.value ->> 'bytes_written'), 0)
  FROM jobs, json_each(jobs.records) AS record
  WHERE record.value ->> 'status' IN ('completed', 'failed', 'cancelled')
  GROUP BY 1, 2;
CREATE INDEX jobs_boot ON jobs (summary ->> '$.boot.verdict') WHERE summary ->> '$.boot.verdict' IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (updated_at) WHERE state = 'queued';
`;
