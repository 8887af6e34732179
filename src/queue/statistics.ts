import type { StageRecord } from '../model/stage-record.js';
import type { Sqlite } from './database.js';

export interface StageTotal {
  stage: string;
  status: string;
  runs: number;
  seconds: number;
  bytes_read: number;
  bytes_written: number;
}

/** What the metrics want of the queue beside its counts. */
export class Statistics {
  readonly #add;
  readonly #totals;
  readonly #boots;
  readonly #oldest;

  constructor(database: Sqlite) {
    this.#add = database.prepare<[Omit<StageTotal, 'runs'>]>(
      `INSERT INTO stage_totals VALUES (@stage, @status, 1, @seconds, @bytes_read, @bytes_written)
       ON CONFLICT (stage, status) DO UPDATE SET runs = runs + 1, seconds = seconds + excluded.seconds,
       bytes_read = bytes_read + excluded.bytes_read, bytes_written = bytes_written + excluded.bytes_written`,
    );
    this.#totals = database.prepare<[], StageTotal>('SELECT * FROM stage_totals ORDER BY stage, status');
    this.#boots = database.prepare<[], { verdict: string; count: number }>(
      `SELECT summary ->> '$.boot.verdict' AS verdict, count(*) AS count FROM jobs
       WHERE summary ->> '$.boot.verdict' IS NOT NULL GROUP BY summary ->> '$.boot.verdict'`,
    );
    this.#oldest = database.prepare<[], { since: string | null }>(
      `SELECT min(updated_at) AS since FROM jobs WHERE state = 'queued'`,
    );
  }

  /** Counts a stage that really ran. */
  addRun({ stage, status, seconds, bytes_read, bytes_written }: StageRecord): void {
    if (status !== 'completed' && status !== 'failed' && status !== 'cancelled') return;
    this.#add.run({ stage, status, seconds, bytes_read, bytes_written });
  }

  stageTotals(): StageTotal[] {
    return this.#totals.all();
  }

  /** Jobs by the verdict of their last boot. */
  boots(): { verdict: string; count: number }[] {
    return this.#boots.all();
  }

  /** Since when the job waits that waits longest (ISO 8601); null when none does. A retried one waits since its retry. */
  oldestQueued(): string | null {
    return this.#oldest.get()?.since ?? null;
  }
}
