import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tryToClaim } from '../../../src/daemon/claim-drop.js';
import { findBase } from '../../../src/daemon/find-base.js';
import { takeDelta } from '../../../src/daemon/take-delta.js';
import type { Drop } from '../../../src/model/drop.js';
import type { Job } from '../../../src/model/job.js';
import type { QueueStore } from '../../../src/queue/store.js';
import { readEntryState } from '../../../src/spool/entry-state.js';
import { enqueue, scratchDirectory, scratchQueue } from '../queue/scratch.js';
import { daemonParts, spoolConfig } from './support.js';

const SECTORS = 16;
/** A VMDK descriptor of one flat extent, or of a delta on `parent`. */
function descriptor(extent: string, cid: string, parent?: { cid: string; name: string }): string {
  return [
    ...['# Disk DescriptorFile', 'version=1', `CID=${cid}`, `parentCID=${parent?.cid ?? 'ffffffff'}`],
    `createType="${parent === undefined ? 'monolithicFlat' : 'twoGbMaxExtentFlat'}"`,
    ...(parent === undefined ? [] : [`parentFileNameHint="${parent.name}"`]),
    `RW ${SECTORS} FLAT "${extent}" 0`,
    '',
  ].join('\n');
}

function spool() {
  const directory = scratchDirectory();
  const config = spoolConfig(directory);
  const queue = scratchQueue(directory);
  const put = (path: string, content: string | Buffer) => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  };
  const disk = (place: string, name: string, cid: string, parent?: { cid: string; name: string }) => {
    put(`${place}/${name}.vmdk`, descriptor(`${name}-flat.vmdk`, cid, parent));
    put(`${place}/${name}-flat.vmdk`, Buffer.alloc(SECTORS * 512, cid));
  };
  /** A parked job with the base of one disk, in a directory. */
  const base = async (job: string, vm = 'web01', change: Partial<Job> = {}) => {
    disk(`work/${job}/source/web01`, 'web01', '11111111');
    await enqueue(queue, job, {
      ...{ vm, dropName: 'web01', entries: [{ name: 'web01', device: 1, inode: 1, fingerprint: '' }] },
    });
    queue.set(job, { warm: 'parked', ...change });
    return (await queue.jobs.get(job))!;
  };
  const find = (drop: Drop, store: Pick<QueueStore, 'jobs'> = queue) =>
    findBase(drop, join(directory, 'incoming'), join(directory, 'work'), {
      ...{ queue: store, signal: new AbortController().signal },
    });
  return { directory, config, queue, put, disk, base, find };
}

function lacking(entries: string[], names: string[], change: Partial<Drop> = {}): Drop {
  return {
    ...{ name: entries[0]!, vm: 'web01', entries, options: null, refused: null },
    waiting: { kind: 'missing', what: 'files', names, more: 0 },
    ...change,
  };
}

describe('the base of a drop that lacks files', () => {
  const ON_BASE = { cid: '11111111', name: 'web01.vmdk' };

  it.each([
    ['a directory', 'incoming/web01', ['web01']],
    ['loose files', 'incoming', ['web01-000001.vmdk', 'web01-000001-flat.vmdk']],
  ])('is the parked job that has them, for %s', async (_name, place, entries) => {
    const { base, disk, find } = spool();
    await base('b1');
    disk(place, 'web01-000001', '22222222', ON_BASE);
    expect(await find(lacking(entries, ['web01.vmdk']))).toMatchObject({
      kind: 'parked',
      job: { job: 'b1' },
    });
  });

  it('is not looked for where something else is missing, or nothing is parked', async () => {
    const { base, disk, find, queue } = spool();
    disk('incoming/web01', 'web01-000001', '22222222', ON_BASE);
    const drop = lacking(['web01'], ['web01.vmdk']);
    expect(await find(drop)).toBeNull();
    await base('b1');
    expect(await find(lacking(['web01'], ['web01.vmdk', 'other.vmdk']))).toBeNull();
    expect(await find({ ...drop, waiting: null })).toBeNull();
    for (const change of [{ warm: 'cutover' }, { warm: null }, { state: 'converted' }] as Partial<Job>[]) {
      queue.set('b1', { warm: 'parked', state: 'queued', ...change });
      expect(await find(drop)).toBeNull();
    }
    queue.set('b1', { warm: 'preparing', state: 'running' });
    expect(await find(drop)).toMatchObject({ kind: 'preparing' });
  });

  it('of several is the one with its name', async () => {
    const { base, disk, find } = spool();
    for (const [job, vm] of [
      ['b1', 'web01'],
      ['b2', 'web02'],
    ] as const)
      await base(job, vm);
    disk('incoming/web02', 'web01-000001', '22222222', ON_BASE);
    const drop = lacking(['web02'], ['web01.vmdk'], { vm: 'web02' });
    expect(await find(drop)).toMatchObject({ kind: 'parked', job: { job: 'b2' } });
    expect(await find({ ...drop, vm: 'web03' })).toBeNull();
  });

  it('is found beside one whose files are gone, and before a retry has taken its files back', async () => {
    const { base, disk, find, queue, directory } = spool();
    await base('b0');
    await base('b1');
    disk('incoming/web01', 'web01-000001', '22222222', ON_BASE);
    const drop = lacking(['web01'], ['web01.vmdk']);
    rmSync(join(directory, 'work/b0'), { recursive: true });
    expect(await find(drop)).toMatchObject({ kind: 'parked', job: { job: 'b1' } });
    const failed = join(directory, 'failed-b1');
    renameSync(join(directory, 'work/b1'), failed);
    expect(await find(drop)).toBeNull();
    queue.set('b1', { warm: 'preparing', reopen: failed });
    expect(await find(drop)).toMatchObject({ kind: 'preparing', job: { job: 'b1' } });
  });

  it('is refused with the code of its chain', async () => {
    const { base, disk, find, put } = spool();
    await base('b1');
    const drop = lacking(['web01'], ['web01.vmdk']);
    disk('incoming/web01', 'web01-000001', '22222222', { ...ON_BASE, cid: '33333333' });
    expect(await find(drop)).toMatchObject({ kind: 'refused', error: { code: 'fetch.parent-mismatch' } });
    disk('incoming/web01', 'web01-000001', '22222222', ON_BASE);
    put('incoming/web01/web01-flat.vmdk', Buffer.alloc(SECTORS * 512));
    expect(await find(drop)).toMatchObject({ kind: 'refused', error: { code: 'fetch.base-again' } });
  });
});

describe('a drop whose base is there', () => {
  const claiming = async (cid: string) => {
    const made = spool();
    await made.base('b1');
    made.disk('incoming/web01', 'web01-000001', '22222222', { cid, name: 'web01.vmdk' });
    const { queue, config } = made;
    const { admission, log } = daemonParts(queue, config);
    const parts = {
      ...{ queue, admission, log: log.logger, config: () => config },
      ...{ confirm: async () => true, mayCopy: () => true },
    };
    const state = (await readEntryState(config.spool.incoming, 'web01'))!;
    const claim = (quietSeconds: number) =>
      tryToClaim(
        { drop: lacking(['web01'], ['web01.vmdk']), states: [state], quietSeconds, due: true },
        parts,
        new AbortController().signal,
      );
    return { ...made, claim };
  };

  it('joins it as soon as it has settled, and waits while the base is being prepared', async () => {
    const { claim, queue, directory } = await claiming('11111111');
    queue.set('b1', { warm: 'preparing' });
    const preparing = 'its base, which is still being prepared (job b1)';
    expect(await claim(11)).toEqual({ waitsFor: preparing });
    expect(await claim(1_000)).toEqual({ waitsFor: preparing });
    queue.set('b1', { warm: 'parked' });
    expect(await claim(11)).toMatchObject({ job: { job: 'b1', warm: 'cutover', delta: expect.any(String) } });
    expect(await readdir(join(directory, 'incoming'))).toEqual([]);
  });

  it('waits a while for the other disks of its VM, unless a description says which there are', async () => {
    const { claim, disk, put, directory } = await claiming('11111111');
    disk('work/b1/source/web01', 'web01_1', '44444444');
    expect(await claim(11)).toEqual({
      waitsFor: 'a newer state of web01_1.vmdk, or the VM’s description',
    });
    put('incoming/web01/web01.vmx', 'displayName = "web01"');
    expect(await claim(11)).toMatchObject({ job: { job: 'b1', warm: 'cutover' } });
    expect(await readdir(join(directory, 'incoming'))).toEqual([]);
  });

  it('joins it without the others where they do not come', async () => {
    const { claim, disk } = await claiming('11111111');
    disk('work/b1/source/web01', 'web01_1', '44444444');
    expect(await claim(101)).toMatchObject({ job: { job: 'b1', warm: 'cutover' } });
  });

  it('waits with the code of a chain that does not fit, and is refused for it in the end', async () => {
    const { claim, queue } = await claiming('33333333');
    expect(await claim(11)).toEqual({ waitsFor: expect.stringMatching(/^fetch\.parent-mismatch: /) });
    expect(await claim(101)).toMatchObject({ job: { refused: { code: 'fetch.parent-mismatch' } } });
    expect(await queue.jobs.get('b1')).toMatchObject({ warm: 'parked', delta: null });
  });

  it('waits for its files where no job has them', async () => {
    const { claim, queue } = await claiming('11111111');
    queue.set('b1', { warm: null });
    expect(await claim(11)).toEqual({ waitsFor: 'missing web01.vmdk' });
    expect(await claim(101)).toMatchObject({ job: { refused: null, warm: null } });
  });
});

describe('a cutover by command', () => {
  const parked = async () => {
    const made = spool();
    await made.base('b1');
    made.disk('incoming/web01', 'web01-000001', '22222222', { cid: '11111111', name: 'web01.vmdk' });
    const { queue, config } = made;
    const drop = lacking(['web01'], ['web01.vmdk']);
    const view = { waiting: { drop, states: [], quietSeconds: 0, due: false }, waitingFor: 'settling' };
    const cutOver = async (waiting: (typeof view)[]) => {
      // Whether the command is refused; the job is not to be started.
      const { operations, worker } = daemonParts(queue, config, { waiting: () => waiting });
      onTestFinished(() => worker.stop());
      await queue.pause.set(true, () => []);
      return operations.cutOver('b1');
    };
    return { ...made, view, cutOver };
  };
  const refused = {
    code: 'api.wrong-state',
    message: expect.stringContaining('the drop web01 has what changed since its base'),
  };

  it('is refused while what has changed since the base is still to join it', async () => {
    const { cutOver, view, queue } = await parked();
    await expect(cutOver([view])).rejects.toMatchObject(refused);
    const claim = { vm: 'web01', dropName: 'web01', entries: [], optionsFile: null, refused: null };
    await queue.claims.record({ ...claim, job: 'd1', joins: 'b1', reservedBytes: 0, phase: 'copying' });
    await expect(cutOver([])).rejects.toMatchObject(refused);
    expect(await queue.jobs.get('b1')).toMatchObject({ warm: 'parked' });
  });

  it('is done where nothing has, or another base was dropped', async () => {
    const { cutOver, view, disk } = await parked();
    disk('incoming/web01', 'web01-000001', '22222222', { cid: '33333333', name: 'web01.vmdk' });
    expect(await cutOver([view])).toMatchObject({ job: 'b1', state: 'queued' });
  });
});

describe('a delta that is taken in', () => {
  const claimed = async () => {
    const made = spool();
    const job = await made.base('b1');
    made.put('work/b1/source/web01/web01.vmx', 'old');
    made.put('work/b1/source/web01/job.toml', 'warm = true');
    made.disk('work/d1/source/web01', 'web01-000001', '22222222');
    made.put('work/d1/source/web01/web01.vmx', 'new');
    made.put('work/d1/source/web01/job.toml', 'kind = "data"');
    await enqueue(made.queue, 'd1', { joins: job.job });
    const run = (await made.queue.runs.start('b1'))!;
    const take = (config = made.config) =>
      takeDelta(run.job, { config, queue: made.queue, lease: run.lease });
    const text = (path: string) => readFileSync(join(made.directory, 'work/b1/source/web01', path), 'utf8');
    return { ...made, take, text };
  };
  const NAMES = [
    ...['.job.toml.delta', '.web01.vmx.base', 'job.toml', 'web01-000001-flat.vmdk', 'web01-000001.vmdk'],
    ...['web01-flat.vmdk', 'web01.vmdk', 'web01.vmx'],
  ];

  it('is beside its base, with its own description and the base’s options', async () => {
    const { take, text, directory, queue } = await claimed();
    expect(await take()).toMatchObject({ job: { entries: ['web01'], delta: null }, error: null });
    expect((await readdir(join(directory, 'work/b1/source/web01'))).sort()).toEqual(NAMES);
    expect([text('web01.vmx'), text('.web01.vmx.base'), text('job.toml')]).toEqual([
      'new',
      'old',
      'warm = true',
    ]);
    expect(existsSync(join(directory, 'work/d1'))).toBe(false);
    expect(await queue.jobs.get('b1')).toMatchObject({ delta: null });
  });

  it('is taken in by a second attempt where the first one was killed', async () => {
    const { take, directory, queue } = await claimed();
    await take();
    // The files were moved, and nothing was recorded.
    queue.set('b1', { delta: 'd1' });
    expect(await take()).toMatchObject({ job: { entries: ['web01'], delta: null } });
    expect((await readdir(join(directory, 'work/b1/source/web01'))).sort()).toEqual(NAMES);
  });

  it('stays where it is if the base is gone', async () => {
    const { take, directory } = await claimed();
    rmSync(join(directory, 'work/b1/source'), { recursive: true });
    expect(await take()).toMatchObject({ job: { delta: 'd1' }, error: null });
    expect(await readdir(join(directory, 'work/d1/source/web01'))).toContain('web01-000001.vmdk');
  });

  it('of a job without one changes nothing', async () => {
    const { base, queue, config } = spool();
    const job = await base('b1', 'web01', { warm: null });
    const { lease } = (await queue.runs.start('b1'))!;
    expect(await takeDelta(job, { config, queue, lease })).toEqual({ job, error: null });
  });
});
