import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobSummary } from '../../src/api/protocol.js';
import { run } from '../../src/tools/run.js';
import { unitNodeOptions } from '../lab/unit-options.js';
import { realImages } from '../unit/disk/images.js';
import { ARCHIVES } from './hostile/archives.js';
import { type HostileCase, type Lure, rawDisk } from './hostile/corpus.js';
import { FORMATS } from './hostile/formats.js';
import { NAMES_AND_KINDS } from './hostile/names.js';
import { REFERENCES } from './hostile/references.js';
import { Spool, until } from './support/daemon.js';

const MIB = 1024 * 1024;
/**
 * One after the other they would take minutes; more at once than a small machine has cores would make the
 * daemon's own figures blurred.
 */
const BATCH = 24;
const REFUSAL_SECONDS = 10;
const DAEMON_MEMORY_KIB = 300 * 1024;
const TOKEN = 'CANARY-6f1c0a-content-of-another-file';

const GROUPS: readonly [string, readonly HostileCase[]][] = [
  ['references', REFERENCES],
  ['formats and sizes', FORMATS],
  ['archives', ARCHIVES],
  ['names and kinds of files', NAMES_AND_KINDS],
];

let outside: string;
let spool: Spool;
let lure: Lure;
let server: Server;
let connections = 0;
const results = new Map<HostileCase, JobSummary>();

beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), 'h2k-outside-'));
  server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  lure = {
    canary: canary('canary.raw'),
    token: TOKEN,
    port: typeof address === 'object' && address !== null ? address.port : 0,
    images: await images(),
  };
  canary('canary.raw.linked');
  spool = await Spool.create(
    '[watch]\nsettle_seconds = 0.3\npoll_seconds = 0.5\n[workers]\njobs = 2\n[flatten]\nmax_virtual_size_gib = 8192\n[log]\nlevel = "debug"\n',
  );
  await spool.start({ NODE_OPTIONS: unitNodeOptions() });
});

afterAll(async () => {
  await spool?.destroy();
  server?.close();
  if (outside !== undefined) await rm(outside, { recursive: true, force: true });
});

/** Its atime lies before its mtime, so that even on relatime a read would move it. */
function canary(name: string): string {
  const path = join(outside, name);
  const disk = rawDisk(MIB);
  for (let at = 512; at < MIB; at += 512) disk.write(TOKEN, at);
  writeFileSync(path, disk);
  utimesSync(path, new Date('2020-01-01T00:00:00Z'), new Date('2024-01-01T00:00:00Z'));
  return path;
}

async function images(): Promise<Record<string, Buffer>> {
  const made = await realImages({
    vmdk: ['-O', 'vmdk'],
    'stream.vmdk': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
    qcow2: ['-O', 'qcow2'],
    vhd: ['-O', 'vpc'],
    'fixed.vhd': ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on'],
    vhdx: ['-O', 'vhdx'],
    vdi: ['-O', 'vdi'],
  });
  return made;
}

/** Drops a batch at once and waits until each of it has ended. */
async function throwIn(batch: readonly HostileCase[], first: number): Promise<void> {
  const names = new Map<string, HostileCase>();
  for (const [index, item] of batch.entries()) {
    const name = `case-${String(first + index).padStart(3, '0')}`;
    const staging = join(outside, name);
    mkdirSync(staging);
    item.make(staging, lure);
    if (item.ownOptions !== true) writeFileSync(join(staging, 'job.toml'), 'kind = "data"\n');
    if (item.loose !== true) {
      renameSync(staging, spool.path('incoming', name));
      names.set(name, item);
      continue;
    }
    for (const entry of readdirSync(staging)) {
      renameSync(join(staging, entry), spool.path('incoming', entry));
      if (!entry.endsWith('.job.toml')) names.set(entry, item);
    }
  }
  await until(
    'the batch to end',
    180,
    async () => {
      for (const job of await spool.jobs()) {
        const item = names.get(job.drop);
        if (
          item !== undefined &&
          job.finished_at !== null &&
          job.directory !== null &&
          existsSync(job.directory)
        )
          results.set(item, job);
      }
      return batch.every((item) => results.has(item));
    },
    () => {
      const missing = batch.filter((item) => !results.has(item)).map(({ title }) => title);
      return `not ended: ${missing.join('; ')}\n${spool.log.slice(-3000)}`;
    },
  );
}

describe.each(GROUPS)('%s', (group, cases) => {
  beforeAll(async () => {
    const first = GROUPS.slice(
      0,
      GROUPS.findIndex(([name]) => name === group),
    ).reduce((sum, [, list]) => sum + list.length, 0);
    for (let at = 0; at < cases.length; at += BATCH) await throwIn(cases.slice(at, at + BATCH), first + at);
  });

  test.each(cases.map((item) => [item.title, item] as const))('%s', async (_title, item) => {
    const job = results.get(item)!;
    const outcome = job.state === 'converted' ? 'converted' : (job.error?.code ?? job.state);
    expect(item.expected, JSON.stringify(job.error)).toContain(outcome);
    // Its own time, not that in the queue behind the others of its batch.
    const seconds = (Date.parse(job.finished_at!) - Date.parse(job.started_at ?? job.created_at)) / 1000;
    expect(seconds).toBeLessThan(REFUSAL_SECONDS);
    if (outcome !== 'converted') {
      expect(job.error!.advice).not.toBe('');
      expect(readdirSync(job.directory!)).toEqual(
        expect.arrayContaining(['reason.json', 'report.json', 'source']),
      );
    }
    if (outcome === 'converted' && item.content !== undefined) await expectContent(job, item.content(lure));
    // Nothing that the terminal, the journal or a browser would act on.
    expect(`${job.error?.message}${job.error?.advice}`).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });
});

async function expectContent(job: JobSummary, content: Buffer): Promise<void> {
  const disk = readdirSync(job.directory!).find((name) => name.endsWith('.qcow2'))!;
  const raw = join(outside, 'content.raw');
  await run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', disk, raw], { cwd: job.directory! });
  expect((await readFile(raw)).equals(content)).toBe(true);
}

describe('after all of them', () => {
  test('there were at least 60, of every kind', () => {
    expect(results.size).toBeGreaterThanOrEqual(60);
    expect(results.size).toBe(GROUPS.reduce((sum, [, cases]) => sum + cases.length, 0));
  });

  test('nobody read the canary, and its content is nowhere', () => {
    for (const name of ['canary.raw', 'canary.raw.linked'])
      expect(statSync(join(outside, name)).atime.toISOString()).toBe('2020-01-01T00:00:00.000Z');
    expect(spool.log).not.toContain(TOKEN);
    expect(filesWith(spool.directory, TOKEN)).toEqual([]);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('h2k-escaped'))).toEqual([]);
  });

  test('nobody connected to the port', () => expect(connections).toBe(0));

  test('the daemon lives, was never large, and takes the next drop', async () => {
    expect(spool.running).toBe(true);
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${spool.pid}/status`, 'utf8'));
    expect(Number(peak?.[1])).toBeLessThan(DAEMON_MEMORY_KIB);
    const good = join(outside, 'good.raw');
    await writeFile(good, rawDisk(MIB, 0x42));
    await writeFile(spool.path('incoming', 'good.job.toml'), 'kind = "data"\n');
    await spool.drop(good);
    const job = await spool.waitForJob(({ vm, state }) => vm === 'good' && state === 'converted', 60, {
      mayFail: true,
    });
    await expectContent(job, rawDisk(MIB, 0x42));
    expect(readdirSync(spool.path('work'))).toEqual([]);
  });
});

/** Files below `directory` that hold `text`; links are not followed. */
function filesWith(directory: string, text: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    // What was dropped may well hold it: one of the drops is a hard link.
    if (entry.isDirectory()) return entry.name === 'source' ? [] : filesWith(path, text);
    // The large ones are holes.
    if (!entry.isFile() || statSync(path).size > 256 * MIB) return [];
    return readFileSync(path).includes(text) ? [path] : [];
  });
}
