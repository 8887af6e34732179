import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { executePipeline } from '../../src/engine/run-stages.js';
import { isErrorCode } from '../../src/errors/errno.js';
import { Hyper2kvmError } from '../../src/errors/error.js';
import { freeBytes } from '../../src/files/space.js';
import { copyTree } from '../../src/sources/local/copy-drop.js';
import { run } from '../../src/tools/run.js';
import { noGuest, testRequest, testStage } from '../unit/engine/fakes.js';
import { readJson, Spool, until } from './support/daemon.js';

const MIB = 1024 * 1024;
const DATA = 'kind = "data"\n';

/**
 * Real filesystems, mounted once; each test has its own directories in them, bound over those of its spool.
 */
let disks: string;
let spool: Spool;
const mounts: string[] = [];
let count = 0;

// Only root may mount.
describe('filesystems', () => {
  beforeAll(async () => {
    disks = mkdtempSync(join(tmpdir(), 'h2k-fs-'));
    await mountAt(join(disks, 'tmpfs'), ['-t', 'tmpfs', '-o', 'size=256m', 'tmpfs']);
    await mountImage('xfs', 1500, ['mkfs.xfs', '-q', '-m', 'reflink=1']);
    await mountImage('ext4', 256, ['mkfs.ext4', '-q', '-F']);
  });
  afterAll(async () => {
    await unmountAll();
    rmSync(disks, { recursive: true });
  });
  afterEach(async () => {
    await spool?.kill('SIGTERM');
    const own = mounts.filter((path) => path.startsWith(`${spool?.directory}/`));
    await unmountAll(own);
    await spool?.destroy();
  });

  test('a full disk is blamed, and not the VM, for whatever a stage breaks on', async () => {
    const tmpfs = join(disks, 'tmpfs');
    const filler = join(tmpfs, 'filler');
    const errorOf = async (code: string, workDirectory = tmpfs) => {
      const act = async () => {
        throw Hyper2kvmError.of(code, 'file receive cancelled by daemon', { advice: 'x' });
      };
      const parts = { stages: [testStage('fix', [], { act })], openGuest: noGuest };
      return (await executePipeline(testRequest({ workDirectory }), parts)).error;
    };
    expect((await errorOf('guest.call-failed'))?.code).toBe('guest.call-failed');
    await run('fallocate', ['-l', String(await freeBytes(tmpfs)), filler]);
    try {
      expect(await errorOf('guest.call-failed')).toMatchObject({
        code: 'host.enospc',
        retryable: true,
        message: expect.stringContaining('guest.call-failed: file receive cancelled'),
      });
      expect((await errorOf('source.changed'))?.code).toBe('source.changed');
    } finally {
      rmSync(filler);
    }
    // A filesystem that tells nothing of its size.
    expect((await errorOf('tool.failed', '/proc'))?.code).toBe('tool.failed');
  });

  const THREE = { incoming: 'tmpfs', work: 'xfs', archive: 'ext4', failed: 'ext4' };
  /** A rename from one to the other is EXDEV, though they have one device number; cp(1) makes reflinks. */
  const MOUNTS = { incoming: 'xfs', work: 'xfs', archive: 'xfs', failed: 'xfs' };

  describe.each([
    [
      'three filesystems',
      THREE,
      [
        ...['claim.recorded', 'claim.copied', 'claim.original-hidden', 'claim.originals-removed'],
        ...['claim.moved', 'claim.committed'],
      ],
      ['finish.before-publish', 'finish.before-commit', 'publish.copied', 'finish.before-removal'],
      ['', 'reopen.scratch-moved', 'reopen.source-moved', 'reopen.removed'],
    ],
    [
      'three mounts of one filesystem',
      MOUNTS,
      ['claim.copied'],
      ['publish.copied'],
      ['', 'reopen.scratch-moved'],
    ],
  ] as const)('incoming, work and archive on %s', (_name, places, claim, publication, reopening) => {
    test.each([...claim, 'stage.convert.before-checkpoint', ...publication])(
      'a daemon that is killed at %s archives the drop once and whole',
      async (failpoint) => {
        await spoolOn(places);
        await drop('disk.raw', 4 * MIB);
        await dieAt(failpoint);
        await spool.start();
        const bundle = await expectOneResult('archive', 'disk.raw');
        await run('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: bundle });
        const disk = join(bundle, 'disk-disk0.qcow2');
        await run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', disk, spool.path('disk.raw')]);
      },
    );

    test.each(publication.slice(-2))('killed at %s, it sets a failed drop aside once', async (failpoint) => {
      await spoolOn(places);
      await drop('disk.raw', 4 * MIB + 1);
      await dieAt(failpoint);
      await spool.start();
      const directory = await expectOneResult('failed', 'disk.raw');
      expect(await readJson(join(directory, 'reason.json'))).toMatchObject({ code: 'fetch.corrupt' });
    });

    test.each([...reopening])('a failed job is tried again (killed at: %s)', async (failpoint) => {
      await spoolOn(places);
      await drop('disk.raw', 4 * MIB + 1);
      await spool.start(failpoint === '' ? {} : { HYPER2KVM_FAILPOINT: failpoint });
      const failed = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
      const attempts = () => spool.log.match(/"msg":"job failed"/g)?.length ?? 0;
      await spool.post(`/v1/jobs/${failed.job}/retry`).catch((error: unknown) => {
        if (failpoint === '') throw error;
      });
      if (failpoint !== '') {
        await spool.died(60);
        await spool.start();
      }
      await until('the second failure', 60, async () => attempts() === 2);
      const directory = await expectOneResult('failed', 'disk.raw');
      expect(await readJson(join(directory, 'reason.json'))).toMatchObject({ code: 'fetch.corrupt' });
      expect(spool.log).not.toContain('EXDEV');
    });
  });

  test('copies share their blocks with the original where the filesystem can', async () => {
    await spoolOn(MOUNTS);
    const from = spool.path('incoming', 'file');
    const to = spool.path('work', 'file');
    writeFileSync(from, randomBytes(MIB));
    await copyTree(from, to, new AbortController().signal);
    expect((await run('filefrag', ['-v', to])).stdout.toString()).toMatch(/\bshared\b/);
  });

  /** Blocks that are still to be allocated (`delalloc`) are those of data that only the page cache has. */
  test('copies are on the disk before the original may go', async () => {
    await spoolOn(THREE);
    const from = spool.path('incoming', 'drop');
    const to = spool.path('archive', 'drop');
    mkdirSync(from);
    // cp(1) truncates what it writes to, and ext4 gives that its blocks when it is closed: the small one shows it.
    for (const [name, bytes] of [
      ['disk.raw', MIB],
      ['small.raw', 64 * 1024],
    ] as const)
      writeFileSync(join(from, name), randomBytes(bytes));
    await copyTree(from, to, new AbortController().signal);
    for (const name of ['disk.raw', 'small.raw']) {
      const extents = (await run('filefrag', ['-v', join(to, name)])).stdout.toString();
      expect(extents).toMatch(/extents? found/);
      expect(extents).not.toContain('delalloc');
    }
  });

  test('a full archive keeps a finished job waiting, and it is archived when there is room', async () => {
    await spoolOn(THREE);
    const filler = join(disks, 'ext4', 'filler');
    await run('fallocate', ['-l', String((await freeBytes(spool.path('archive'))) - 20 * MIB), filler]);
    writeFileSync(spool.path('big.raw'), randomBytes(40 * MIB));
    writeFileSync(spool.path('incoming', 'big.job.toml'), DATA);
    await spool.drop(spool.path('big.raw'));
    await spool.start();
    await until('the full disk', 60, async () =>
      spool.log.includes('disk full, the job is waiting for space'),
    );
    await until('the pause', 20, async () => (await spool.status()).paused_reason === 'space');
    expect(await spool.results('failed')).toEqual([]);
    rmSync(filler);
    await spool.waitForJob(({ state }) => state === 'converted', 60);
    const bundle = await expectOneResult('archive', 'big.raw');
    await run('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: bundle });
  });

  /**
   * What is written to a lower layer of an overlay makes no event in it, and does not change the directory's
   * times: as what another client writes to a network filesystem.
   */
  test('a drop on a filesystem without events is noticed by polling, with no inotify watch', async () => {
    spool = await Spool.create('[watch]\nsettle_seconds = 1\npoll_seconds = 1\npolling = true\n');
    const other = spool.path('other-client');
    for (const name of ['other-client', 'upper', 'overlay-work']) mkdirSync(spool.path(name));
    const layers = `lowerdir=${other},upperdir=${spool.path('upper')},workdir=${spool.path('overlay-work')}`;
    await mountAt(spool.path('incoming'), ['-t', 'overlay', '-o', layers, 'overlay']);
    await spool.start();
    expect(inotifyWatches(spool.pid)).toBe(0);
    await sleep(3000);
    const content = Buffer.alloc(MIB, 'polled');
    writeFileSync(join(other, 'polled.job.toml'), DATA);
    // As a slow copy: it grows while it is polled.
    for (let part = 0; part < 4; part += 1) {
      writeFileSync(join(other, 'polled.raw'), content.subarray(0, ((part + 1) * MIB) / 4));
      await sleep(800);
    }
    const job = await spool.waitForJob(({ state }) => state === 'converted', 60);
    expect(readFileSync(join(job.directory!, 'source', 'polled.raw')).equals(content)).toBe(true);
    expect(readdirSync(spool.path('incoming'))).toEqual([]);
  });

  test('an incoming with thousands of entries is polled, and watched again when they are gone', async () => {
    spool = await Spool.create();
    await spool.start();
    await until('the watch', 10, async () => inotifyWatches(spool.pid) > 0);
    const notes = Array.from({ length: 2_500 }, (_, index) => spool.path('incoming', `note-${index}.txt`));
    for (const note of notes) writeFileSync(note, '');
    await until('the watch to end', 30, async () => inotifyWatches(spool.pid) === 0);
    await drop('crowd.raw', 4 * MIB);
    await spool.waitForJob(({ state }) => state === 'converted', 60);
    for (const note of notes) rmSync(note);
    await until('the watch again', 30, async () => inotifyWatches(spool.pid) > 0);
    await expectOneResult('archive', 'crowd.raw');
  });
});

async function mountAt(directory: string, args: readonly string[]): Promise<void> {
  mkdirSync(directory, { recursive: true });
  await run('mount', [...args, directory]);
  mounts.push(directory);
}

async function mountImage(name: string, mib: number, mkfs: readonly string[]): Promise<void> {
  const image = join(disks, `${name}.img`);
  writeFileSync(image, '');
  truncateSync(image, mib * MIB);
  const [program, ...args] = mkfs as [string, ...string[]];
  await run(program, [...args, image]);
  await mountAt(join(disks, name), ['-o', 'loop', image]);
}

async function unmountAll(paths: readonly string[] = [...mounts]): Promise<void> {
  for (const path of [...paths].reverse()) {
    await run('umount', [path]);
    mounts.splice(mounts.indexOf(path), 1);
  }
}

async function spoolOn(places: Readonly<Record<string, string>>): Promise<void> {
  spool = await Spool.create();
  for (const [name, filesystem] of Object.entries(places)) {
    const directory = join(disks, filesystem, `${name}${count++}`);
    mkdirSync(directory);
    await mountAt(spool.path(name), ['--bind', directory]);
  }
}

async function drop(name: string, bytes: number): Promise<void> {
  writeFileSync(spool.path(name), Buffer.alloc(MIB, name));
  truncateSync(spool.path(name), bytes);
  writeFileSync(spool.path('incoming', name.replace('.raw', '.job.toml')), DATA);
  await spool.drop(spool.path(name));
}

async function dieAt(failpoint: string): Promise<void> {
  await spool.start({ HYPER2KVM_FAILPOINT: failpoint }, { expectDeath: true });
  await spool.died(60);
}

/** Everything is where it belongs, once: no scratch, no half copy, no second result, the source whole. */
async function expectOneResult(kind: 'archive' | 'failed', name: string): Promise<string> {
  const state = kind === 'archive' ? 'converted' : 'failed';
  await spool.waitForJob((job) => job.state === state, 60, { mayFail: true });
  const [result, ...others] = [...(await spool.results('archive')), ...(await spool.results('failed'))];
  expect(others).toEqual([]);
  expect(result).toContain(`/${kind}/`);
  await until('scratch to go', 10, async () => readdirSync(spool.path('work')).length === 0);
  expect(readdirSync(spool.path('incoming'))).toEqual([]);
  expect((await spool.jobs()).length).toBe(1);
  await run('cmp', [spool.path(name), join(result!, 'source', name)]);
  return result!;
}

/** Watches of all inotify instances of a process (proc(5), fdinfo). */
function inotifyWatches(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`)
    .filter((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === 'anon_inode:inotify')
    .reduce((sum, fd) => {
      const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
      return sum + info.split('\n').filter((line) => line.startsWith('inotify wd')).length;
    }, 0);
}

/** Empty where it was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return '';
    throw error;
  }
}
