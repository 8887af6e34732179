import { execFileSync } from 'node:child_process';
import { appendFileSync, linkSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { groupDrops } from '../../../src/spool/group-drops.js';
import { Scanner, type ScanRequest } from '../../../src/spool/scan.js';
import { isBeingWritten } from '../../../src/spool/writers.js';
import { scratchDirectory } from '../queue/scratch.js';

/** A scanner whose clock the test moves, and whose every name is a drop of its own. */
function scanner(directory: string, extra: Partial<ScanRequest> = {}) {
  const clock = { now: 0 };
  let grouped = 0;
  const scan = new Scanner({
    directory,
    isHidden: (name) => name.startsWith('.'),
    isPartial: (name) => name.endsWith('.part'),
    group: async (entries) => {
      grouped += 1;
      return {
        ignored: [],
        drops: entries
          .filter(({ name }) => !name.endsWith('.part'))
          .map(({ name }) => ({
            name,
            vm: name,
            entries: [name],
            options: null,
            waiting: null,
            refused: null,
          })),
      };
    },
    settleSeconds: () => 10,
    pollSeconds: () => 5,
    alwaysList: false,
    now: () => clock.now,
    signal: new AbortController().signal,
    ...extra,
  });
  const due = async () =>
    (await scan.scan()).waiting.filter((waiting) => waiting.due).map(({ drop }) => drop.name);
  return { scan, clock, due, grouped: () => grouped };
}

describe('Scanner', () => {
  it('finds what was there before, and lets a drop be due when it is unchanged for the settle time', async () => {
    const directory = scratchDirectory();
    writeFileSync(join(directory, 'a.vmdk'), 'a');
    writeFileSync(join(directory, 'b.vmdk.part'), 'b');
    const { clock, due } = scanner(directory);
    expect(await due()).toEqual([]);
    clock.now = 5;
    appendFileSync(join(directory, 'a.vmdk'), 'more');
    expect(await due()).toEqual([]);
    clock.now = 14;
    expect(await due()).toEqual([]);
    clock.now = 15;
    expect(await due()).toEqual(['a.vmdk']);
    renameSync(join(directory, 'b.vmdk.part'), join(directory, 'b.vmdk'));
    expect(await due()).toEqual(['a.vmdk']);
    clock.now = 25;
    expect(await due()).toEqual(['a.vmdk', 'b.vmdk']);
  });

  it('starts the wait again for a change deep inside a directory', async () => {
    const directory = scratchDirectory();
    mkdirSync(join(directory, 'vm', 'snapshots'), { recursive: true });
    writeFileSync(join(directory, 'vm', 'snapshots', 'a.vmdk'), 'a');
    const { clock, due } = scanner(directory);
    await due();
    clock.now = 9;
    appendFileSync(join(directory, 'vm', 'snapshots', 'a.vmdk'), 'more');
    await due();
    clock.now = 18;
    expect(await due()).toEqual([]);
    clock.now = 19;
    expect(await due()).toEqual(['vm']);
  });

  it('confirms a due drop only while it is still what it was', async () => {
    const directory = scratchDirectory();
    writeFileSync(join(directory, 'a.vmdk'), 'a');
    const { clock, scan, due } = scanner(directory);
    await due();
    clock.now = 10;
    const [waiting] = (await scan.scan()).waiting;
    expect(await scan.confirm(waiting!)).toBe(true);
    appendFileSync(join(directory, 'a.vmdk'), 'more');
    expect(await scan.confirm(waiting!)).toBe(false);
    expect(await due()).toEqual([]);
  });

  it('concludes nothing from a directory that is not there', async () => {
    const directory = scratchDirectory();
    const incoming = join(directory, 'incoming');
    mkdirSync(incoming);
    writeFileSync(join(incoming, 'a.vmdk'), 'a');
    const { scan } = scanner(incoming);
    await scan.scan();
    renameSync(incoming, join(directory, 'away'));
    expect(await scan.scan()).toMatchObject({ available: false, waiting: [{ drop: { name: 'a.vmdk' } }] });
    renameSync(join(directory, 'away'), incoming);
    expect(await scan.scan()).toMatchObject({ available: true, waiting: [{ drop: { name: 'a.vmdk' } }] });
  });

  it('forgets what is gone, and groups again only after a change', async () => {
    const directory = scratchDirectory();
    for (const name of ['a', 'b']) writeFileSync(join(directory, name), name);
    const { scan, clock, grouped } = scanner(directory);
    await scan.scan();
    for (clock.now = 5; clock.now < 100; clock.now += 5) await scan.scan();
    expect(grouped()).toBe(1);
    rmSync(join(directory, 'a'));
    expect((await scan.scan()).waiting.map(({ drop }) => drop.name)).toEqual(['b']);
    expect(grouped()).toBe(2);
  });

  it('costs next to nothing with thousands of files that only lie there', async () => {
    const directory = scratchDirectory();
    // Links to one file: a tenth of the time that so many files take.
    writeFileSync(join(directory, 'f'), '');
    for (let index = 1; index < 4_000; index += 1)
      linkSync(join(directory, 'f'), join(directory, `f${index}`));
    const { scan, clock } = scanner(directory, { group: async () => ({ drops: [], ignored: [] }) });
    await scan.scan();
    // Long enough ago for its listing to be trusted.
    utimesSync(directory, new Date('2026-01-01'), new Date('2026-01-01'));
    clock.now = 3_000;
    await scan.scan();
    const before = process.cpuUsage();
    for (let tick = 0; tick < 40; tick += 1) {
      clock.now += 5;
      await scan.scan();
    }
    const { user, system } = process.cpuUsage(before);
    // Each tick that looked at the files would take 0.05 s, and 2 s all of them.
    expect((user + system) / 1e6).toBeLessThan(0.5);
  });
});

describe('isBeingWritten', () => {
  it('sees a writer that only holds the file open', async () => {
    const file = join(scratchDirectory(), 'a.vmdk');
    const writer = await open(file, 'w');
    expect(await isBeingWritten(file)).toBe('yes');
    await writer.close();
    expect(await isBeingWritten(file)).toBe('no');
    const reader = await open(file, 'r');
    expect(await isBeingWritten(file)).toBe('no');
    await reader.close();
    expect(await isBeingWritten(`${file}.none`)).toBe('unknown');
  });

  it('shows a name that is not UTF-8, until it is renamed', async () => {
    const directory = scratchDirectory();
    const raw = Buffer.concat([
      Buffer.from(`${directory}/b`),
      Buffer.from([0xfc, 0xff]),
      Buffer.from('.raw'),
    ]);
    writeFileSync(raw, 'x');
    const grouped: string[] = [];
    const { scan, clock } = scanner(directory, {
      group: (entries) => groupDrops(entries, () => Promise.reject(new Error('opened'))),
    });
    for (clock.now = 0; clock.now <= 20; clock.now += 10) {
      const { waiting } = await scan.scan();
      grouped.push(...waiting.map(({ drop, due }) => `${drop.refused?.code} ${due}`));
    }
    expect(grouped).toEqual([
      'fetch.refused-name false',
      'fetch.refused-name true',
      'fetch.refused-name true',
    ]);
    renameSync(raw, join(directory, '.renamed'));
    expect((await scan.scan(new Set(['x']))).waiting).toEqual([]);
  });
});

describe('an entry that cannot be looked at', () => {
  const named = async (directory: string, extra: Partial<ScanRequest> = {}) => {
    const { scan } = scanner(directory, { group: groupAll, ...extra });
    return (await scan.scan()).waiting.map(({ drop, due }) => [drop.name, drop.problem?.code, due]);
  };
  const groupAll: ScanRequest['group'] = (entries) =>
    groupDrops(entries, async () => ({
      kind: 'disk',
      format: 'raw',
      needs: [],
      contentId: null,
      parentId: null,
      incomplete: null,
    }));

  it('is named where it is a filesystem’s own lost+found, and the others are seen', async () => {
    const problem = { code: 'spool.unreadable', message: 'EACCES', advice: '' } as never;
    const entries = ['lost+found', 'web01'].map((name) => ({
      name,
      type: 'unreadable' as const,
      size: 0,
      problem,
    }));
    const { drops } = await groupDrops(entries, () => Promise.reject(new Error('opened')));
    expect(drops.map(({ name }) => name)).toEqual(['lost+found', 'web01']);
  });

  it('is named, and the others are seen: a path over 4,096 bytes, directories nested too deep', async () => {
    const directory = scratchDirectory();
    const half = Array.from({ length: 10 }, () => 'n'.repeat(240));
    mkdirSync(join(directory, 'a-long', ...half), { recursive: true });
    mkdirSync(join(directory, 'other', ...half), { recursive: true });
    renameSync(join(directory, 'other'), join(directory, 'a-long', ...half, 'other'));
    mkdirSync(join(directory, 'b-deep', ...Array.from({ length: 70 }, () => 'd')), { recursive: true });
    writeFileSync(join(directory, 'c.raw'), 'c');
    expect(await named(directory, { settleSeconds: () => 0 })).toEqual([
      ['a-long', 'spool.unreadable', false],
      ['b-deep', 'spool.too-large', false],
      ['c.raw', undefined, true],
    ]);
    execFileSync('rm', ['-rf', directory]);
  });

  it('is not waited for when it takes too long', async () => {
    const directory = scratchDirectory();
    mkdirSync(join(directory, 'big'));
    for (let index = 0; index < 500; index += 1) writeFileSync(join(directory, 'big', `${index}`), '');
    writeFileSync(join(directory, 'c.raw'), 'c');
    const found = await named(directory, { readSeconds: 0.001 });
    expect(found.find(([name]) => name === 'big')).toEqual(['big', 'spool.too-slow', false]);
  });
});
