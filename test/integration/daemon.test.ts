import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ControlClient } from '../../src/api/client.js';
import type { JobSummary } from '../../src/api/protocol.js';
import { type Config, configSchema } from '../../src/config/schema.js';
import { type Daemon, startDaemon } from '../../src/daemon/daemon.js';
import { createLog } from '../../src/host/log.js';
import { run } from '../../src/tools/run.js';

const DATA = 'kind = "data"\n';
const MIB = 1024 * 1024;

/** A daemon in this process on a private spool, for data disks: real tools, no guest. */
class Bench {
  readonly directory = mkdtempSync(join(tmpdir(), 'h2k-daemon-'));
  readonly lines: Record<string, unknown>[] = [];
  readonly config: Config;
  readonly client: ControlClient;
  #daemon: Daemon | undefined;

  constructor(extra: { spool?: Partial<Config['spool']>; workers?: Partial<Config['workers']> } = {}) {
    const at = (name: string) => join(this.directory, name);
    this.config = configSchema.parse({
      spool: {
        incoming: at('incoming'),
        work: at('work'),
        archive: at('archive'),
        failed: at('failed'),
        ...extra.spool,
      },
      state: { database: at('queue.db') },
      control: { socket: at('control.sock') },
      watch: { settle_seconds: 0.3, poll_seconds: 0.5 },
      workers: extra.workers ?? {},
      retry: { backoff_seconds: 0 },
    });
    this.client = new ControlClient(this.config.control.socket);
    mkdirSync(at('incoming'));
    onTestFinished(async () => {
      await this.stop();
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  async start(reload?: () => Config): Promise<Daemon> {
    const log = createLog({ level: 'debug', writer: (line) => void this.lines.push(JSON.parse(line)) });
    this.#daemon = await startDaemon(this.config, { log, ...(reload === undefined ? {} : { reload }) });
    return this.#daemon;
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop();
    this.#daemon = undefined;
  }

  /** A sparse raw disk whose first MiB says who it is. */
  async drop(name: string, options: { toml?: string | null; size?: number } = {}): Promise<void> {
    const { toml = DATA, size = 4 * MIB } = options;
    const target = join(this.config.spool.incoming, name);
    if (toml !== null) writeFileSync(target.replace(/\.[a-z0-9]+$/, '.job.toml'), toml);
    writeFileSync(`${target}.part`, Buffer.alloc(MIB, name));
    truncateSync(`${target}.part`, size);
    await rename(`${target}.part`, target);
  }

  /** A disk whose compression takes seconds. */
  async dropSlow(name: string): Promise<void> {
    const target = join(this.config.spool.incoming, name);
    const noise = Buffer.from(Array.from({ length: 65_521 }, (_, index) => (index * index) % 251));
    writeFileSync(`${target}.raw.part`, Buffer.alloc(256 * MIB, noise));
    writeFileSync(`${target}.job.toml`, `${DATA}[convert]\ncompression = "zlib"\n`);
    await rename(`${target}.raw.part`, `${target}.raw`);
  }

  archived(): string[] {
    const { archive } = this.config.spool;
    return readdirSync(archive).flatMap((date) =>
      readdirSync(join(archive, date)).map((name) => join(archive, date, name)),
    );
  }

  async until(wanted: (jobs: JobSummary[]) => boolean, seconds = 20): Promise<JobSummary[]> {
    for (const end = performance.now() + seconds * 1000; ; await sleep(50)) {
      const jobs = await this.client.jobs();
      if (wanted(jobs)) return jobs;
      if (performance.now() > end)
        throw new Error(`not in ${seconds} s: ${JSON.stringify({ jobs, log: this.lines.slice(-20) })}`);
    }
  }

  /** Those up to CONVERT; VALIDATE's comparison of a data disk is no matter of these tests. */
  stagesStarted(): unknown[] {
    return this.messages('stage started').flatMap(({ stage }) => (stage === 'validate' ? [] : stage));
  }

  messages(text: string): Record<string, unknown>[] {
    return this.lines.filter((line) => line.msg === text);
  }
}

const all = (state: string, count: number) => (jobs: JobSummary[]) =>
  jobs.filter((job) => job.state === state).length === count;

describe('daemon', () => {
  it('archives a data disk with its source and its log, and leaves no scratch', async () => {
    const bench = new Bench();
    await bench.start();
    await bench.drop('disk.raw');
    const [job] = await bench.until(all('converted', 1));
    const bundle = job!.directory!;
    expect(readdirSync(bundle).sort()).toEqual([
      'SHA256SUMS',
      'disk-disk0.qcow2',
      'job.log',
      'report.html',
      'report.json',
      'source',
    ]);
    expect(readdirSync(join(bundle, 'source')).sort()).toEqual(['disk.job.toml', 'disk.raw']);
    expect(readdirSync(bench.config.spool.work)).toEqual([]);
    expect(readdirSync(bench.config.spool.incoming)).toEqual([]);
    expect(await bench.client.job('disk')).toMatchObject({
      checkpoint: { resume_from: null, current_stage: null },
      stages: [
        { stage: 'fetch', status: 'completed' },
        {},
        {},
        {},
        {},
        { stage: 'convert', status: 'completed' },
        {},
      ],
    });
    const log: string[] = [];
    for await (const line of bench.client.logs('disk')) log.push(JSON.parse(line).msg);
    expect(log.at(0)).toBe('job started');
  });

  it('sets a drop with a wrong job.toml aside with the reason, and converts it after the file was mended and retried', async () => {
    const bench = new Bench();
    await bench.start();
    await bench.drop('web01.raw', { toml: `${DATA}[vm]\nmemroy = 5\n` });
    const [job] = await bench.until(all('failed', 1));
    expect(job!.error).toMatchObject({ code: 'job-options.unknown-key' });
    const reason = JSON.parse(readFileSync(join(job!.directory!, 'reason.json'), 'utf8'));
    expect(reason.message).toContain(
      'web01.job.toml:3:1: vm.memroy is not an option; did you mean vm.memory?',
    );
    writeFileSync(join(job!.directory!, 'source', 'web01.job.toml'), DATA);
    await bench.client.retry(job!.job);
    const [again] = await bench.until(all('converted', 1));
    expect(again!.job).toBe(job!.job);
    expect(
      readdirSync(bench.config.spool.failed).flatMap((date) =>
        readdirSync(join(bench.config.spool.failed, date)),
      ),
    ).toEqual([]);
  });

  it('cancels a running job, and retries it from its last checkpoint or from an earlier stage when told to', async () => {
    const bench = new Bench();
    await bench.start();
    await bench.dropSlow('slow');
    const stagesOfRun = () => bench.stagesStarted();
    const cancel = async () => {
      await bench.until((jobs) => jobs.some((job) => job.stage === 'convert' && job.state === 'running'), 30);
      const asked = performance.now();
      await bench.client.cancel('slow');
      const [job] = await bench.until(all('cancelled', 1));
      expect(performance.now() - asked).toBeLessThan(10_000);
      expect(job!.error?.code).toBe('job.cancelled');
      expect(readdirSync(join(job!.directory!, 'source')).sort()).toEqual(['slow.job.toml', 'slow.raw']);
      expect(readdirSync(bench.config.spool.work)).toEqual([]);
    };
    await cancel();
    expect((await bench.client.job('slow')).checkpoint).toMatchObject({ resume_from: 'convert' });
    bench.lines.length = 0;
    await bench.client.retry('slow');
    await cancel();
    expect(stagesOfRun()).toEqual(['convert']);
    bench.lines.length = 0;
    await bench.client.retry('slow', { from: 'flatten', set: { 'convert.compression': 'none' } });
    const [job] = await bench.until(all('converted', 1), 60);
    expect(stagesOfRun()).toEqual(['flatten', 'convert']);
    expect(bench.archived()).toEqual([job!.directory]);
    await expect(bench.client.retry('slow')).rejects.toMatchObject({ code: 'api.wrong-state' });
  });

  it('cancels a queued job, keeps drops waiting while paused, and starts by priority', async () => {
    const bench = new Bench({ workers: { jobs: 1 } });
    await bench.start();
    await bench.dropSlow('slow');
    await bench.until((jobs) => jobs.some((job) => job.state === 'running'));
    for (const name of ['a', 'b', 'c']) await bench.drop(`${name}.raw`);
    await bench.until(all('queued', 3));
    await bench.client.priority('c', 5);
    await bench.client.cancel('b');
    await bench.client.pause();
    await bench.drop('d.raw');
    await bench.until((jobs) =>
      jobs.some((job) => job.drop === 'd.raw' && job.waiting_for === 'the queue is paused'),
    );
    expect(await bench.client.status()).toMatchObject({ state: 'paused', paused_reason: 'operator' });
    // What was decided is published also while the queue is paused, and the running job ends.
    const jobs = await bench.until((found) => all('converted', 1)(found) && all('cancelled', 1)(found), 60);
    expect(jobs.filter(({ state }) => state === 'queued').map(({ vm }) => vm)).toEqual(['a', 'c']);
    await bench.client.resume();
    await bench.until(all('converted', 4), 30);
    const order = bench.messages('job started').map((line) => line.vm);
    expect(order).toEqual(['slow', 'c', 'a', 'd']);
  });

  it('shows what a drop waits for, and takes it when the missing piece arrives', async () => {
    const bench = new Bench();
    await bench.start();
    writeFileSync(join(bench.config.spool.incoming, 'b.job.toml'), DATA);
    writeFileSync(
      join(bench.config.spool.incoming, 'b.vmdk'),
      '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\nRW 8192 FLAT "b-flat.vmdk" 0\n',
    );
    await bench.until(
      (jobs) => jobs[0]?.state === 'waiting' && jobs[0].waiting_for === 'missing b-flat.vmdk',
    );
    await bench.drop('b-flat.vmdk', { toml: null });
    const [job] = await bench.until(all('converted', 1));
    expect(readdirSync(join(job!.directory!, 'source')).sort()).toEqual([
      'b-flat.vmdk',
      'b.job.toml',
      'b.vmdk',
    ]);
  });

  it('refuses to be the second on a spool, and names the first', async () => {
    const bench = new Bench();
    await bench.start();
    await expect(startDaemon(bench.config, { log: createLog({ level: 'error' }) })).rejects.toMatchObject({
      code: 'daemon.already-running',
      message: expect.stringContaining(`process ${process.pid}`),
    });
    expect((await bench.client.status()).pid).toBe(process.pid);
  });

  it('carries drops over filesystems, in and out', async () => {
    const other = mkdtempSync(join(tmpdir(), 'h2k-other-'));
    await run('mount', ['-t', 'tmpfs', 'tmpfs', other]);
    onTestFinished(async () => {
      await run('umount', ['--lazy', other]);
      rmSync(other, { recursive: true });
    });
    const bench = new Bench({ spool: { work: join(other, 'work') } });
    await bench.start();
    await bench.drop('a.raw');
    await bench.drop('bad.raw', { size: 4 * MIB + 1 });
    const jobs = await bench.until(
      (found) => found.filter(({ finished_at }) => finished_at !== null).length === 2,
    );
    expect(jobs.map(({ vm, state }) => [vm, state]).sort()).toEqual([
      ['a', 'converted'],
      ['bad', 'failed'],
    ]);
    for (const { directory, vm } of jobs) {
      const head = readFileSync(join(directory!, 'source', `${vm}.raw`)).subarray(0, MIB);
      expect(head.equals(Buffer.alloc(MIB, `${vm}.raw`))).toBe(true);
    }
    expect(readdirSync(join(other, 'work'))).toEqual([]);
    expect(readdirSync(bench.config.spool.incoming)).toEqual([]);
  });

  it('applies a reload at once where it can, and says where not', async () => {
    const bench = new Bench();
    const wanted = structuredClone(bench.config);
    wanted.log.level = 'warn';
    wanted.workers.jobs = 7;
    const daemon = await bench.start(() => wanted);
    bench.lines.length = 0;
    daemon.reload();
    wanted.log.level = 'info';
    daemon.reload();
    expect(bench.messages('configuration reloaded')).toMatchObject([
      { applied: ['log.level'], need_restart: ['workers.jobs'] },
    ]);
  });
});

describe('stopping', () => {
  it('takes seconds at most during a conversion, and the job resumes at the next start without its finished stages', async () => {
    const bench = new Bench();
    await bench.start();
    await bench.dropSlow('big');
    await bench.until((jobs) => jobs.some((job) => job.stage === 'convert' && job.state === 'running'), 30);
    const started = performance.now();
    await bench.stop();
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(bench.archived()).toEqual([]);
    bench.lines.length = 0;
    await bench.start();
    await bench.until(all('converted', 1), 60);
    expect(bench.stagesStarted()).toEqual(['convert']);
    expect(readdirSync(bench.config.spool.work)).toEqual([]);
  });
});
