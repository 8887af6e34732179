import type { ErrorRecord } from '../errors/error.js';
import type { Job } from '../model/job.js';
import type { Sqlite } from './database.js';
import type { JobTable } from './jobs.js';

/** One name of a drop as it was when the claim was decided: only that very file is taken, not one that has the name later. */
export interface ClaimedEntry {
  name: string;
  device: number;
  inode: number;
  /** Time of birth (ms since the epoch): a number of a removed file is given to the next one. Older daemons did not write it. */
  bornMs?: number;
  /** Of `lookAt`: nothing in it was touched as long as this is the same. */
  stamp: string;
}

/** A drop on its way from incoming to `work/<job>/source`. */
export interface Claim {
  job: string;
  vm: string;
  dropName: string;
  entries: ClaimedEntry[];
  optionsFile: string | null;
  refused: ErrorRecord | null;
  reservedBytes: number;
  /** `moving`: by rename. `copying`: onto another filesystem. `copied`: the copies are complete and durable, the originals are being removed. */
  phase: 'moving' | 'copying' | 'copied';
}

/** The intents of claims, written before the first effect and gone with the last. */
export class ClaimTable {
  readonly #jobs: JobTable;
  readonly #insert;
  readonly #phase;
  readonly #pending;
  readonly #delete;
  readonly #become;

  constructor(database: Sqlite, jobs: JobTable) {
    this.#jobs = jobs;
    this.#insert = database.prepare<[string, string, string, string]>(
      'INSERT INTO claims (job, phase, claim, created_at) VALUES (?, ?, ?, ?)',
    );
    this.#phase = database.prepare<[string, string]>('UPDATE claims SET phase = ? WHERE job = ?');
    this.#pending = database.prepare<[], { phase: Claim['phase']; claim: string }>(
      'SELECT phase, claim FROM claims ORDER BY job',
    );
    this.#delete = database.prepare<[string]>('DELETE FROM claims WHERE job = ?');
    this.#become = database.transaction((job: Job) => {
      this.forget(job.job);
      this.#jobs.insert(job);
    });
  }

  record(claim: Claim): void {
    this.#insert.run(claim.job, claim.phase, JSON.stringify(claim), new Date().toISOString());
  }

  setPhase(job: string, phase: Claim['phase']): void {
    this.#phase.run(phase, job);
  }

  /** Left by a daemon that was killed. */
  pending(): Claim[] {
    return this.#pending.all().map((row) => ({ ...(JSON.parse(row.claim) as Claim), phase: row.phase }));
  }

  /** The claim becomes a queued job, in one transaction. `entries`: what really is in the source directory. */
  commit(claim: Claim, entries: readonly string[]): Job {
    const now = new Date().toISOString();
    const job: Job = {
      job: claim.job,
      vm: claim.vm,
      dropName: claim.dropName,
      entries: [...entries].sort(),
      optionsFile: claim.optionsFile,
      overrides: {},
      refused: claim.refused,
      state: 'queued',
      priority: 0,
      reservedBytes: claim.reservedBytes,
      stage: null,
      waitsForBytes: null,
      crashes: 0,
      reopen: null,
      outcome: null,
      directory: null,
      error: null,
      failedStage: null,
      records: [],
      result: { plan: null, boot: null, sourceId: null },
      createdAt: now,
      updatedAt: now,
      startedAt: null,
      finishedAt: null,
    };
    this.#become(job);
    return job;
  }

  forget(job: string): void {
    this.#delete.run(job);
  }
}
