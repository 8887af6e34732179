/**
 * `claims`: drops on their way from incoming to work. A row is written before the first rename and becomes a
 * job after the last, so that a start after a crash knows what to finish. `jobs`: one row for each claimed
 * VM. `outcome` and `directory` are set before the result is published and stay: a job that has an outcome
 * but no final state is published again at start. `checkpoints`: `position` is the stage's position in the
 * pipeline.
 */
export const initial = `
CREATE TABLE claims (
  job TEXT PRIMARY KEY,
  phase TEXT NOT NULL CHECK (phase IN ('moving', 'copying', 'copied')),
  claim TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT;

CREATE TABLE jobs (
  job TEXT PRIMARY KEY,
  vm TEXT NOT NULL,
  drop_name TEXT NOT NULL,
  entries TEXT NOT NULL,
  options_file TEXT,
  overrides TEXT NOT NULL DEFAULT '{}',
  refused TEXT,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'converted', 'failed', 'cancelled')),
  priority INTEGER NOT NULL DEFAULT 0,
  reserved_bytes INTEGER NOT NULL DEFAULT 0,
  stage TEXT,
  waits_for_bytes INTEGER,
  reopen TEXT,
  outcome TEXT CHECK (outcome IN ('converted', 'failed', 'cancelled')),
  directory TEXT,
  error TEXT,
  failed_stage TEXT,
  records TEXT NOT NULL DEFAULT '[]',
  summary TEXT NOT NULL DEFAULT '{}',
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  started_at TEXT,
  finished_at TEXT
) STRICT;
CREATE INDEX jobs_next ON jobs (state, priority DESC, job);
CREATE INDEX jobs_vm ON jobs (vm);

CREATE TABLE checkpoints (
  job TEXT NOT NULL REFERENCES jobs (job) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  stage TEXT NOT NULL,
  id TEXT NOT NULL,
  output TEXT NOT NULL,
  record TEXT NOT NULL,
  timestamp TEXT NOT NULL,
  PRIMARY KEY (job, position),
  UNIQUE (job, stage)
) STRICT;

CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
`;
