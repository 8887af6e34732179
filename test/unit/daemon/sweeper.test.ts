import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { JobLocks } from '../../../src/daemon/job-locks.js';
import { Sweeper } from '../../../src/daemon/sweeper.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import type { Job } from '../../../src/model/job.js';
import { run } from '../../../src/tools/run.js';
import { distantQueue, enqueue, scratchDirectory, scratchQueue, testClaim } from '../queue/scratch.js';
import { daemonParts, spoolConfig } from './support.js';

const JOB = '01k9xw3v5q0bc';

function spool() {
  const directory = scratchDirectory();
  const at = (...names: string[]) => join(directory, ...names);
  for (const name of ['incoming', 'work', 'archive', 'failed']) mkdirSync(at(name));
  const config = configSchema.parse({
    spool: { incoming: at('incoming'), work: at('work'), archive: at('archive'), failed: at('failed') },
  });
  const queue = scratchQueue(directory);
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const put = (...names: string[]) => {
    mkdirSync(at(...names.slice(0, -1)), { recursive: true });
    writeFileSync(at(...names), 'the only copy');
  };
  const job = async (state: 'converted' | 'failed' | 'queued', change: Partial<Job> = {}) => {
    await enqueue(queue, JOB);
    queue.set(JOB, { state, ...change });
  };
  /** `vm-…/source/disk`, with the date of today. */
  const setAside = () => {
    const [date] = readdirSync(at('failed'));
    return date === undefined ? [] : readdirSync(at('failed', date)).map((name) => at('failed', date, name));
  };
  return {
    at,
    queue,
    lines,
    put,
    job,
    setAside,
    sweeper: new Sweeper({ config: () => config, queue, locks: new JobLocks(), log }),
  };
}

describe('Sweeper', () => {
  it.each([
    ['converted', 'archive', 'bundle.txt'],
    ['failed', 'failed', 'source'],
  ] as const)('removes the scratch of a %s job whose result is there', async (state, place, kept) => {
    const { at, put, job, sweeper } = spool();
    const directory = at(place, '2026-01-31', `vm-${JOB}`);
    put(place, '2026-01-31', `vm-${JOB}`, kept, 'disk.vmdk');
    put('work', JOB, 'source', 'disk.vmdk');
    await job(state, { directory });
    await sweeper.sweep();
    expect(readdirSync(at('work'))).toEqual([]);
    expect(existsSync(join(directory, kept))).toBe(true);
  });

  it('touches nothing of a job that is not done, nor of a claim', async () => {
    const { at, put, job, queue, sweeper } = spool();
    put('work', JOB, 'source', 'disk.vmdk');
    put('work', '01k9xw3v5q0bd', 'source', 'disk.vmdk');
    await job('queued');
    await queue.claims.record(testClaim('01k9xw3v5q0bd'));
    await sweeper.sweep();
    expect(readdirSync(at('work'))).toEqual([JOB, '01k9xw3v5q0bd']);
  });

  // The database is older than the directories.
  it.each<[string, 'failed' | 'converted' | null, string[]]>([
    ['failed, and was tried again since', 'failed', ['source', 'disk.vmdk']],
    ['failed, and was being published again', 'failed', ['failure', 'source', 'disk.vmdk']],
    ['unknown', null, ['source', 'disk.vmdk']],
    ['unknown, and was being published', null, ['bundle', 'source', 'disk.vmdk']],
    ['unknown, and was being copied', null, ['source.copying', 'disk.vmdk']],
    ['converted, and its bundle is gone', 'converted', ['source', 'disk.vmdk']],
  ])('sets the drop of a job aside that is %s', async (_name, state, file) => {
    const { at, put, job, setAside, sweeper, lines } = spool();
    put('work', JOB, ...file);
    if (state !== null) await job(state, { directory: at('failed', '2026-01-31', `vm-${JOB}`) });
    await sweeper.sweep();
    const [found = '', ...others] = setAside();
    expect(others).toEqual([]);
    expect(found).toMatch(new RegExp(`/${state === null ? 'unknown' : `vm-${JOB}`}-${JOB}-recovered$`));
    expect(readFileSync(join(found, ...file), 'utf8')).toBe('the only copy');
    expect(JSON.parse(readFileSync(join(found, 'reason.json'), 'utf8'))).toMatchObject({
      job: JOB,
      code: 'queue.unknown-job',
    });
    expect(readdirSync(at('work'))).toEqual([]);
    expect(lines).toEqual(['drop without a known result was moved to failed/']);
  });

  it('leaves alone what is nothing of ours, and says so once', async () => {
    const { at, put, lines, sweeper } = spool();
    put('work', 'lost+found', 'source', 'x');
    put('work', JOB, 'out', 'disk.qcow2');
    await sweeper.sweep();
    await sweeper.sweep();
    expect(readdirSync(at('work'))).toEqual([JOB, 'lost+found']);
    expect(lines).toEqual(Array(2).fill('unknown directory in work: left alone'));
  });

  it('removes the hidden originals of a job, and not those of which no copy is known', async () => {
    const { at, put, job, sweeper, lines } = spool();
    put('incoming', `.hyper2kvm-${JOB}`, 'disk.vmdk');
    put('incoming', '.hyper2kvm-01k9xw3v5q0bd', 'disk.vmdk');
    put('incoming', '.hidden', 'x');
    await job('queued');
    await sweeper.sweep();
    expect(readdirSync(at('incoming'))).toEqual(['.hidden', '.hyper2kvm-01k9xw3v5q0bd']);
    expect(lines).toEqual(['originals of an unknown job: left alone']);
  });

  it('lives without incoming', async () => {
    const { at, sweeper } = spool();
    rmSync(at('incoming'), { recursive: true });
    await sweeper.sweep();
  });

  it.runIf(process.geteuid?.() === 0)('removes later what cannot be removed now', async () => {
    const { at, put, job, sweeper, lines } = spool();
    put('archive', '2026-01-31', `vm-${JOB}`, 'report.json');
    put('work', JOB, 'source', 'disk.vmdk');
    put('failed', '2026-01-31', '.removing-vm', 'x');
    await job('converted', { directory: at('archive', '2026-01-31', `vm-${JOB}`) });
    const immutable = [
      at('work', JOB, 'source', 'disk.vmdk'),
      at('failed', '2026-01-31', '.removing-vm', 'x'),
    ];
    await run('chattr', ['+i', ...immutable]);
    onTestFinished(() => void run('chattr', ['-i', ...immutable], { okCodes: [0, 1] }));
    await sweeper.sweep();
    await sweeper.sweep();
    const hidden = at('work', `.removing-${JOB}`, 'source', 'disk.vmdk');
    expect(existsSync(hidden)).toBe(true);
    expect(lines).toEqual(Array(2).fill('leftovers cannot be removed, retrying later'));
    await run('chattr', ['-i', hidden, immutable[1]!]);
    await sweeper.sweep();
    expect(readdirSync(at('work'))).toEqual([]);
    expect(readdirSync(at('failed', '2026-01-31'))).toEqual([]);
  });
});

it('does not take the directory of a job that is tried again while it sweeps', async () => {
  const directory = scratchDirectory();
  const config = spoolConfig(directory);
  const queue = distantQueue();
  await enqueue(queue, JOB);
  const failed = join(config.spool.failed, '2026-01-31', `vm-${JOB}`);
  const work = join(config.spool.work, JOB);
  // What an earlier run has left, and the result of it.
  for (const path of [join(failed, 'source'), join(work, 'out')]) mkdirSync(path, { recursive: true });
  writeFileSync(join(failed, 'source', 'disk.vmdk'), 'the only copy');
  const error = errorRecord(new Hyper2kvmError('fetch.corrupt', 'no'));
  queue.set(JOB, { state: 'failed', outcome: 'failed', directory: failed, error });
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const { worker, operations, locks, log } = daemonParts(queue, config, {
    async runPipeline({ signal }) {
      begin();
      await sleep(20_000, undefined, { signal }).catch(() => undefined);
      return { outputs: {}, sourceId: null, records: [], error, failedStage: null, cancelled: true };
    },
  });
  onTestFinished(() => worker.stop());
  /** The queue answers the sweeper when the job has gone on for long: as far as it comes in half a second. */
  const late: typeof queue.jobs.get = async (id) => {
    const job = await queue.jobs.get(id);
    await operations.retry(JOB, {});
    await Promise.race([begun, sleep(500)]);
    return job;
  };
  const sweeper = new Sweeper({
    ...{ config: () => config, locks, log: log.logger },
    queue: { ...queue, jobs: { ...queue.jobs, get: late } },
  });
  worker.start();
  await sweeper.sweep();
  await begun;
  expect(readdirSync(work).sort()).toEqual(['job.log', 'source']);
  expect(existsSync(join(work, 'source', 'disk.vmdk'))).toBe(true);
});
