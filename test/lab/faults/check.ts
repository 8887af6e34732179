import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import { sha256File } from '#hyper2kvm/files/digest.js';
import { openSqlite } from '#hyper2kvm/queue/sqlite/open.js';
import { openSqliteQueue } from '#hyper2kvm/queue/sqlite/store.js';
import { run } from '#hyper2kvm/tools/run.js';
import type { FaultSpool, Watched } from './spool.ts';

/** What was found wrong on a spool, one sentence each, by kind. All empty: the promises held. */
export interface Findings {
  losses: string[];
  duplicates: string[];
  orphans: string[];
  /** Scratch left behind, jobs stuck, claims without end, wrong states. */
  others: string[];
}

interface Result {
  kind: 'archive' | 'failed';
  vm: string;
  directory: string;
}

const RESULT_NAME = /^(?<vm>.+)-(?<job>[0-9a-z]{13})$/;
/** Of node itself. */
const NOT_SCRATCH = ['node-compile-cache'];

/**
 * Checks a spool whose daemon has been stopped after all its work: every drop is in archive/ or failed/
 * exactly once, its source as it was, outputs whole, nothing left in work/, incoming/ or TMPDIR, no process,
 * no unfinished row in the database.
 */
export async function checkSpool(spool: FaultSpool): Promise<Findings> {
  const findings: Findings = { losses: [], duplicates: [], orphans: [], others: [] };
  const results = [
    ...(await resultsOf(spool, 'archive', findings)),
    ...(await resultsOf(spool, 'failed', findings)),
  ];
  const byVm = new Map<string, Result[]>();
  for (const result of results) byVm.set(result.vm, [...(byVm.get(result.vm) ?? []), result]);
  for (const drop of spool.drops) await checkDrop(drop, byVm.get(drop.name) ?? [], findings);
  if (results.length > spool.drops.length)
    findings.duplicates.push(`${results.length} results of ${spool.drops.length} drops`);
  const places = {
    work: spool.places.work,
    incoming: spool.places.incoming,
    TMPDIR: join(spool.directory, 'tmp'),
  };
  for (const [place, directory] of Object.entries(places)) {
    for (const name of await readdir(directory))
      if (!NOT_SCRATCH.includes(name)) findings.others.push(`${place} holds ${name}`);
  }
  // A tool that was just killed needs a moment to be gone.
  for (let tries = 0; tries < 50 && (await spool.processes()).length > 0; tries++) await sleep(100);
  findings.orphans.push(...(await spool.processes()).map(({ pid, command }) => `process ${pid}: ${command}`));
  await checkDatabase(spool, results, findings);
  await checkNotifications(spool, findings);
  return findings;
}

export function findingsText(findings: Findings): string {
  return Object.entries(findings)
    .flatMap(([kind, texts]) => (texts as string[]).map((text) => `${kind}: ${text}`))
    .join('\n');
}

async function resultsOf(spool: FaultSpool, kind: Result['kind'], findings: Findings): Promise<Result[]> {
  const results: Result[] = [];
  for (const date of await readdir(spool.places[kind])) {
    for (const name of await readdir(join(spool.places[kind], date))) {
      const directory = join(spool.places[kind], date, name);
      const vm = RESULT_NAME.exec(name)?.groups?.vm;
      if (vm !== undefined) results.push({ kind, vm, directory });
      else findings.others.push(`${directory} is no result`);
    }
  }
  return results;
}

async function checkDrop(drop: Watched, own: readonly Result[], findings: Findings): Promise<void> {
  const [result, ...others] = own;
  if (result === undefined) return void findings.losses.push(`${drop.name} has no result`);
  for (const { directory } of others) findings.duplicates.push(`${drop.name} is also in ${directory}`);
  const { directory, kind } = result;
  for (const [name, digest] of drop.files) {
    const found = await sha256File(join(directory, 'source', name)).catch(
      (error: unknown) => errorRecord(error).message,
    );
    if (found !== digest) findings.losses.push(`${directory}/source/${name}: ${found}`);
  }
  const report = await readFile(join(directory, 'report.json'), 'utf8')
    .then((text) => JSON.parse(text) as { verdict?: string })
    .catch((error: unknown) => ({ verdict: errorRecord(error).message }));
  if (report.verdict !== (kind === 'archive' ? 'converted' : 'failed'))
    findings.others.push(`${directory}/report.json says ${report.verdict}`);
  if (kind === 'archive') await checkBundle(directory, findings);
  if (kind === 'archive' && drop.kind === 'bad') findings.others.push(`${directory} cannot be converted`);
}

async function checkBundle(directory: string, findings: Findings): Promise<void> {
  try {
    await run('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: directory });
  } catch (error) {
    findings.losses.push(`${directory}: ${errorRecord(error).message}`);
  }
  const listed = (await readFile(join(directory, 'SHA256SUMS'), 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.slice(66))
    .filter((name) => name !== '');
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const present = entries.filter((entry) => entry.isFile()).length;
  // SHA256SUMS cannot list itself.
  if (present !== listed.length + 1)
    findings.others.push(`${directory} has ${present} files, SHA256SUMS lists ${listed.length}`);
  if (!listed.some((name) => name.endsWith('.qcow2'))) findings.losses.push(`${directory} has no disk`);
}

async function checkDatabase(
  spool: FaultSpool,
  results: readonly Result[],
  findings: Findings,
): Promise<void> {
  const queue = openSqliteQueue(spool.places.database);
  try {
    for (const claim of await queue.claims.pending())
      findings.others.push(`the claim ${claim.job} has no end`);
    const directories = new Set(results.map(({ directory }) => directory));
    const jobs = await queue.jobs.list();
    for (const { job, vm, state, directory, reservedBytes } of jobs) {
      const isDone = state === 'converted' || state === 'failed' || state === 'cancelled';
      if (!isDone) findings.others.push(`job ${job} (${vm}) is ${state}`);
      else if (directory === null || !directories.has(directory))
        findings.losses.push(`job ${job} (${vm}) is ${state}, ${directory} is not there`);
      if (isDone && reservedBytes > 0)
        findings.others.push(`job ${job} still reserves ${reservedBytes} bytes`);
    }
    if (jobs.length > spool.drops.length)
      findings.duplicates.push(`${jobs.length} jobs of ${spool.drops.length} drops`);
  } finally {
    await queue.close();
  }
}

interface Told {
  /** The same in each delivery of one notification. */
  id: string;
  event: string;
  job: { job: string; vm: string };
}

/**
 * Each end of a job is told at least once: delivered, or still in the outbox. A drop that was converted has
 * one end, one that failed and was tried again has two.
 */
async function checkNotifications(spool: FaultSpool, findings: Findings): Promise<void> {
  const files = (await readdir(spool.told)).filter((name) => name.endsWith('.json'));
  const delivered = await Promise.all(
    files.map(async (name) => JSON.parse(await readFile(join(spool.told, name), 'utf8')) as Told),
  );
  const queue = openSqliteQueue(spool.places.database);
  try {
    const told = [...delivered, ...undelivered(spool.places.database)];
    const ends = new Map<string, Map<string, string>>();
    for (const { id, event, job } of told)
      ends.set(job.job, (ends.get(job.job) ?? new Map<string, string>()).set(id, event));
    for (const { job, vm, state } of await queue.jobs.list()) {
      const events = [...(ends.get(job)?.values() ?? [])];
      if ((state === 'converted' || state === 'failed') && !events.includes(state))
        findings.losses.push(`nobody was told that ${vm} is ${state}`);
      const most = { converted: 1, failed: 2 } as const;
      for (const [event, count] of Object.entries(most))
        if (events.filter((each) => each === event).length > count)
          findings.duplicates.push(`${vm} was told to be ${event} ${events.length} times`);
    }
    for (const { outcome, count } of await queue.outbox.counts())
      if (outcome === 'given_up') findings.losses.push(`${count} notifications were given up`);
  } finally {
    await queue.close();
  }
}

function undelivered(file: string): Told[] {
  const database = openSqlite(file, { readonly: true });
  try {
    const rows = database.prepare<[], { body: string }>('SELECT body FROM outbox').all();
    return rows.map(({ body }) => JSON.parse(body) as Told);
  } finally {
    database.close();
  }
}
