import { describe, expect, test } from 'vitest';
import type { Drop, HeaderFacts, IncomingEntry } from '../../../src/model/drop.js';
import { groupDrops } from '../../../src/spool/group-drops.js';
import { isDue } from '../../../src/spool/settle.js';
import { waitingText } from '../../../src/spool/waiting-text.js';

const FACTS: HeaderFacts = {
  kind: 'nothing',
  format: null,
  needs: [],
  contentId: null,
  parentId: null,
  incomplete: null,
};
const disk = (facts: Partial<HeaderFacts> = {}): HeaderFacts => ({
  ...FACTS,
  kind: 'disk',
  format: 'vmdk',
  ...facts,
});
const extent: HeaderFacts = { ...FACTS, kind: 'extent', format: 'vmdk' };

/** `listing`: facts by name; a directory as an object of facts by child. */
async function group(listing: Record<string, HeaderFacts>, more: IncomingEntry[] = []) {
  const directories = new Map<string, IncomingEntry[]>();
  const entries: IncomingEntry[] = [];
  for (const name of Object.keys(listing)) {
    const [first, child] = name.split('/') as [string, string?];
    if (child === undefined) entries.push({ name, type: 'file', size: 1 });
    else directories.set(first, [...(directories.get(first) ?? []), { name: child, type: 'file', size: 1 }]);
  }
  for (const [name, children] of directories) entries.push({ name, type: 'directory', size: 0, children });
  const { drops, ignored } = await groupDrops([...entries, ...more], async (path) => listing[path]!);
  return { drops: drops.map((drop) => ({ ...drop, waitingFor: waitingText(drop) })), ignored };
}

const only = <T extends Drop>(drops: readonly T[]): T => {
  expect(drops).toHaveLength(1);
  return drops[0]!;
};

describe('what a download tool left', () => {
  test.each(['aria2', 'st', 'lftp-pget-status', 'part', '!ut', 'partial', 'filepart', 'download', 'tmp'])(
    'web01.raw waits for as long as web01.raw.%s is there',
    async (ending) => {
      const { drops, ignored } = await group({ 'web01.raw': disk(), [`web01.raw.${ending}`]: FACTS });
      const waitingFor = `web01.raw is still being written: web01.raw.${ending} is there`;
      expect(only(drops)).toMatchObject({ waitingFor });
      expect(isDue(only(drops), 1e9, 1)).toBe(false);
      expect(ignored).toEqual([{ name: `web01.raw.${ending}`, reason: 'partial' }]);
      const inside = await group({ 'a/web01.raw': disk(), [`a/web01.raw.${ending}`]: FACTS });
      expect(only(inside.drops)).toMatchObject({ waitingFor });
    },
  );

  test('is never taken as it is, however long the download stands still and whatever the disk looks like', async () => {
    for (const facts of [disk(), disk({ incomplete: 'only zeros so far' })]) {
      const { drops } = await group({ 'web01.raw': facts, 'web01.raw.aria2': FACTS });
      expect(isDue(only(drops), 1_000_000, 10)).toBe(false);
    }
  });

  test('what is no disk holds nothing back for good', async () => {
    for (const name of ['notes.tmp', 'vmware.log.tmp']) {
      const { drops } = await group({ 'a/web01.raw': disk(), [`a/${name}`]: FACTS });
      expect(only(drops).waitingFor).toContain(name);
      expect([isDue(only(drops), 50, 10), isDue(only(drops), 100, 10)]).toEqual([false, true]);
    }
    const loose = await group({ 'web01.raw': disk(), 'web01-notes.txt.tmp': FACTS });
    expect(only(loose.drops).waiting).toBeNull();
    const { drops } = await group({ 'a/web01.raw': disk(), 'a/web01.ovf.part': FACTS });
    expect(isDue(only(drops), 1_000_000, 10)).toBe(false);
  });

  test('a short ending counts only behind another', async () => {
    const { drops, ignored } = await group({ 'web01.raw': disk(), 'web01.st': FACTS });
    expect(only(drops).waiting).toBeNull();
    expect(ignored).toEqual([{ name: 'web01.st', reason: 'not-a-disk' }]);
  });
});

describe('disks in numbered pieces', () => {
  const piece: HeaderFacts = { ...FACTS, kind: 'extent' };
  const needs = ['d.vmdk.000000000', 'd.vmdk.000000001'];

  test('belong to the OVF, which waits for all that it counts', async () => {
    const ovf: HeaderFacts = { ...FACTS, kind: 'description', format: 'ovf', needs };
    const { drops } = await group({ 'web01.ovf': ovf, 'd.vmdk.000000000': piece });
    expect(only(drops).waitingFor).toBe('missing d.vmdk.000000001');
    const whole = await group({ 'web01.ovf': ovf, 'd.vmdk.000000000': piece, 'd.vmdk.000000001': piece });
    expect(only(whole.drops)).toMatchObject({ name: 'web01.ovf', waiting: null });
  });

  test('alone are a drop with the name of the disk, and have its job.toml', async () => {
    const names = { 'web01.raw.000000000': piece, 'web01.raw.000000001': piece };
    const { drops } = await group({ ...names, 'web01.job.toml': FACTS });
    expect(only(drops)).toMatchObject({ vm: 'web01', options: 'web01.job.toml' });
  });

  test('stand for the name without a number', async () => {
    const ovf: HeaderFacts = { ...FACTS, kind: 'description', format: 'ovf', needs: ['d.vmdk'] };
    const { drops } = await group({ 'web01.ovf': ovf, 'd.vmdk.000000000': piece });
    expect(only(drops)).toMatchObject({ entries: ['d.vmdk.000000000', 'web01.ovf'], waiting: null });
    const inside = await group({ 'a/web01.ovf': ovf, 'a/d.vmdk.000000000': piece });
    expect(only(inside.drops).waiting).toBeNull();
  });
});

describe('what belongs together', () => {
  test('single files are drops of their own, in the order of their numbers', async () => {
    const { drops } = await group({ 'web10.qcow2': disk(), 'web2.vmdk': disk() });
    expect(drops.map(({ name, entries, waiting }) => ({ name, entries, waiting }))).toEqual([
      { name: 'web2.vmdk', entries: ['web2.vmdk'], waiting: null },
      { name: 'web10.qcow2', entries: ['web10.qcow2'], waiting: null },
    ]);
  });

  test('a descriptor and its extents', async () => {
    const needs = ['web01-s001.vmdk', 'web01-s002.vmdk'];
    const { drops } = await group({
      'web01-s001.vmdk': extent,
      'web01-s002.vmdk': extent,
      'web01.vmdk': disk({ needs }),
    });
    expect(only(drops)).toMatchObject({
      name: 'web01.vmdk',
      vm: 'web01',
      waiting: null,
      entries: [...needs, 'web01.vmdk'],
    });
  });

  test('a missing extent is named', async () => {
    const needs = ['web01-s001.vmdk', 'web01-s002.vmdk', 'web01-s003.vmdk'];
    const { drops } = await group({ 'web01-s001.vmdk': extent, 'web01.vmdk': disk({ needs }) });
    expect(only(drops)).toMatchObject({
      waitingFor: 'missing web01-s002.vmdk, web01-s003.vmdk',
    });
  });

  test('extents that came before their descriptor wait together', async () => {
    const { drops } = await group({
      'web01-s001.vmdk': extent,
      'web01-s002.vmdk': extent,
      'db-flat.vmdk': extent,
    });
    expect(drops.map(({ name, waitingFor }) => [name, waitingFor])).toEqual([
      ['db-flat.vmdk', 'missing the descriptor of db-flat.vmdk'],
      ['web01-s001.vmdk', 'missing the descriptor of web01-s001.vmdk'],
    ]);
  });

  test('a chain is named after its base', async () => {
    const { drops } = await group({
      'web01-000001.vmdk': disk({ needs: ['web01.vmdk'], parentId: 'a', contentId: 'b' }),
      'web01-000002.vmdk': disk({ needs: ['web01-000001.vmdk'], parentId: 'b', contentId: 'c' }),
      'web01.vmdk': disk({ contentId: 'a' }),
    });
    expect(only(drops)).toMatchObject({ name: 'web01.vmdk', vm: 'web01', waiting: null });
    expect(only(drops).entries).toHaveLength(3);
  });

  test('a delta without its parent names the parent', async () => {
    const { drops } = await group({
      'web01-000001.vmdk': disk({ needs: ['web01.vmdk'], parentId: 'a', contentId: 'b' }),
    });
    expect(only(drops)).toMatchObject({ waitingFor: 'missing web01.vmdk' });
  });

  test('a renamed parent is known by its content id', async () => {
    const { drops } = await group({
      'delta.vmdk': disk({ needs: ['old-name.vmdk'], parentId: 'a', contentId: 'b' }),
      'renamed.vmdk': disk({ contentId: 'a' }),
    });
    expect(only(drops)).toMatchObject({
      name: 'renamed.vmdk',
      waiting: null,
      entries: ['delta.vmdk', 'renamed.vmdk'],
    });
  });

  test('a .vmx brings its disks together and waits for the missing one', async () => {
    const vmx = { ...FACTS, kind: 'description', needs: ['a.vmdk', 'b.vmdk'] } as const;
    const { drops } = await group({ 'web01.vmx': vmx, 'a.vmdk': disk(), 'web01.nvram': FACTS });
    expect(only(drops)).toMatchObject({
      name: 'web01.vmx',
      entries: ['a.vmdk', 'web01.nvram', 'web01.vmx'],
      waitingFor: 'missing b.vmdk',
    });
  });

  test('change tracking goes with its disk, loose or not', async () => {
    const { drops, ignored } = await group({
      'web01.vmdk': disk(),
      'web01-ctk.vmdk': FACTS,
      'x-ctk.vmdk': FACTS,
    });
    expect(only(drops)).toMatchObject({ entries: ['web01-ctk.vmdk', 'web01.vmdk'], waiting: null });
    expect(ignored).toEqual([{ name: 'x-ctk.vmdk', reason: 'not-a-disk' }]);
  });

  test('what is named by a path belongs together where it is there, and nobody waits for it', async () => {
    const description = { ...FACTS, kind: 'description' as const, uses: ['web01.vmdk', 'data.vmdk'] };
    const { drops } = await group({ 'web01.vmx': description, 'web01.vmdk': disk() });
    expect(only(drops)).toMatchObject({ entries: ['web01.vmdk', 'web01.vmx'], waiting: null });
  });

  test('disks in a folder of a directory, as Hyper-V exports them', async () => {
    const hyperV = (child: string): IncomingEntry => ({
      name: 'web01',
      type: 'directory',
      size: 0,
      children: [
        {
          name: 'Virtual Hard Disks',
          type: 'directory',
          size: 0,
          children: [{ name: child, type: 'file', size: 1 }],
        },
        { name: 'Snapshots', type: 'directory', size: 0, children: [] },
      ],
    });
    const path = 'web01/Virtual Hard Disks/web01.vhdx';
    const whole = await groupDrops([hyperV('web01.vhdx')], async (name) => (name === path ? disk() : FACTS));
    expect(only(whole.drops)).toMatchObject({ waiting: null, entries: ['web01'] });
    const part = await groupDrops([hyperV('web01.vhdx.part')], async () => FACTS);
    expect(only(part.drops).waiting).toEqual({
      kind: 'writing',
      names: ['web01.vhdx'],
      shownBy: 'web01.vhdx.part',
    });
    const none = await groupDrops([hyperV('notes.txt')], async () => FACTS);
    expect(only(none.drops).waiting).toEqual({ kind: 'no-disk', names: [] });
  });

  test('a directory is one VM, with its own job.toml', async () => {
    const { drops } = await group({
      'web01/a.vmdk': disk(),
      'web01/b.vmdk': disk(),
      'web01/job.toml': FACTS,
    });
    expect(only(drops)).toMatchObject({
      name: 'web01',
      entries: ['web01'],
      options: 'web01/job.toml',
      waiting: null,
    });
  });

  test('a job.toml goes with the drop of its name, also when that is a chain', async () => {
    const { drops, ignored } = await group({
      'web01-000001.vmdk': disk({ needs: ['web01.vmdk'], parentId: 'a', contentId: 'b' }),
      'web01.vmdk': disk({ contentId: 'a' }),
      'web01.job.toml': FACTS,
      'other.job.toml': FACTS,
    });
    expect(only(drops)).toMatchObject({ options: 'web01.job.toml' });
    expect(only(drops).entries).toContain('web01.job.toml');
    expect(ignored).toEqual([{ name: 'other.job.toml', reason: 'job-without-disk' }]);
  });

  test('a job.toml that says where its VM is, is a drop by itself; beside a disk it belongs to that', async () => {
    const order: HeaderFacts = { ...FACTS, kind: 'order' };
    const { drops } = await group({ 'web01.job.toml': order });
    expect(only(drops)).toMatchObject({
      name: 'web01.job.toml',
      vm: 'web01',
      entries: ['web01.job.toml'],
      options: 'web01.job.toml',
      waiting: null,
      refused: null,
    });
    expect(isDue(only(drops), 11, 10)).toBe(true);
    const beside = await group({ 'web01.job.toml': order, 'web01.vmdk': disk() });
    expect(only(beside.drops).entries).toEqual(['web01.job.toml', 'web01.vmdk']);
    // Its disk may be on its way.
    const coming = await group({ 'web01.job.toml': order, 'web01.vmdk.part': FACTS });
    expect(isDue(only(coming.drops), 1e9, 10)).toBe(false);
  });
});

describe('what waits', () => {
  test('partial names and dotfiles are no drops', async () => {
    const { drops, ignored } = await group({
      'a.vmdk.part': disk(),
      'b.tmp': disk(),
      'c.vmdk.filepart': disk(),
      'd.crdownload': disk(),
      '.e.vmdk': disk(),
    });
    expect(drops).toEqual([]);
    expect(ignored.map(({ reason }) => reason).sort()).toEqual([
      'hidden',
      'partial',
      'partial',
      'partial',
      'partial',
    ]);
  });

  test('a delta under a partial name holds its base back, another VM’s does not', async () => {
    const { drops } = await group({
      'web01.vmdk': disk(),
      'web02.vmdk': disk(),
      'web01-000001.vmdk.part': FACTS,
    });
    expect(drops.map(({ waiting, waitingFor }) => [waiting?.kind, waitingFor])).toEqual([
      ['writing', 'web01-000001.vmdk is still being written: web01-000001.vmdk.part is there'],
      [undefined, null],
    ]);
  });

  test('what a partial file may be is waited for first where a file is missing, not where one is unfinished', async () => {
    const { drops } = await group({
      'a.vmdk': disk({ needs: ['a-s001.vmdk'] }),
      'a-s001.vmdk.part': FACTS,
      // The reason begins with the same word as that of a missing file.
      'missing.vmdk': disk({ incomplete: 'the footer has not arrived' }),
      'missing-000001.vmdk.part': FACTS,
    });
    expect(drops.map(({ waitingFor }) => waitingFor)).toEqual([
      'a-s001.vmdk is still being written: a-s001.vmdk.part is there',
      'missing.vmdk: the footer has not arrived',
    ]);
  });

  test('a base that a .vmsd calls frozen waits for its delta, unless a .vmx says which disk is in use', async () => {
    const vmsd = { ...FACTS, frozen: ['web01.vmdk'] };
    const base = { 'web01.vmdk': disk({ contentId: 'a' }), 'web01.vmsd': vmsd };
    const waitingFor = 'missing the delta on web01.vmdk (a snapshot froze it)';
    expect(only((await group(base)).drops)).toMatchObject({ waitingFor });
    const inside = { 'w/web01.vmdk': disk({ contentId: 'a' }), 'w/web01.vmsd': vmsd };
    expect(only((await group(inside)).drops)).toMatchObject({ waitingFor });

    const delta = disk({ needs: ['web01.vmdk'], parentId: 'a', contentId: 'b' });
    const whole = await group({ ...base, 'web01-000001.vmdk': delta });
    expect(only(whole.drops)).toMatchObject({ waiting: null });
    expect(only(whole.drops).entries).toContain('web01.vmsd');
    const vmx: HeaderFacts = { ...FACTS, kind: 'description', format: 'vmx', needs: ['web01.vmdk'] };
    expect(only((await group({ ...base, 'web01.vmx': vmx })).drops)).toMatchObject({ waiting: null });
    const other = { ...base, 'web01.vmsd': { ...FACTS, frozen: ['db01.vmdk'] } };
    expect(only((await group(other)).drops)).toMatchObject({ waiting: null });
  });

  test('a compressed disk is a drop, and its job.toml is named without the compression', async () => {
    const { drops } = await group({ 'web01.vmdk.gz': disk({ format: 'gzip' }), 'web01.job.toml': FACTS });
    expect(only(drops)).toMatchObject({ vm: 'web01', options: 'web01.job.toml', waiting: null });
  });

  test('a name that cannot be opened is refused by it', async () => {
    const children: IncomingEntry[] = [{ name: 'a\ufffd.raw', type: 'unnamed', size: 0 }];
    const { drops } = await group({}, [{ name: 'web01', type: 'directory', size: 0, children }]);
    expect(only(drops).refused).toMatchObject({ code: 'fetch.refused-name' });
  });

  test('a partial file inside a directory holds the directory back', async () => {
    const { drops } = await group({ 'web01/a.vmdk': disk(), 'web01/b.vmdk.part': FACTS });
    expect(only(drops)).toMatchObject({ waitingFor: 'b.vmdk is still being written: b.vmdk.part is there' });
  });

  test('a file whose end has not arrived says so', async () => {
    const { drops } = await group({ 'web01.vmdk': disk({ incomplete: 'the footer has not arrived' }) });
    expect(only(drops)).toMatchObject({
      waitingFor: 'web01.vmdk: the footer has not arrived',
    });
  });

  test('what is named like a disk and is none does not wait: FETCH says why', async () => {
    const { drops, ignored } = await group({ 'notes.vmdk': FACTS, 'notes.txt': FACTS, 'README.pdf': FACTS });
    expect(only(drops)).toMatchObject({
      name: 'notes.vmdk',
      waiting: null,
      entries: ['notes.txt', 'notes.vmdk'],
    });
    expect(ignored).toEqual([{ name: 'README.pdf', reason: 'not-a-disk' }]);
  });

  test.each(['symlink', 'special'] as const)(
    'a %s is refused, in incoming and in a directory',
    async (type) => {
      const link: IncomingEntry = { name: 'x.vmdk', type, size: 0 };
      const { drops } = await group({}, [
        link,
        { name: 'web01', type: 'directory', size: 0, children: [link] },
      ]);
      expect(drops.map(({ refused }) => refused?.code)).toEqual([
        'fetch.refused-special',
        'fetch.refused-special',
      ]);
      expect(drops.map(({ entries }) => entries)).toEqual([['web01'], ['x.vmdk']]);
    },
  );
});

describe('when a drop is due', () => {
  const drop = (facts: Partial<Drop>) => ({
    name: 'x',
    vm: 'x',
    entries: ['x'],
    options: null,
    waiting: null,
    refused: null,
    ...facts,
  });
  test('complete: after the settle time', () => {
    expect(isDue(drop({}), 9.9, 10)).toBe(false);
    expect(isDue(drop({}), 10, 10)).toBe(true);
  });
  test('incomplete: after ten times that, so that it fails with its reason and does not wait for ever', () => {
    const waiting = { kind: 'no-disk' as const, names: [] };
    expect(isDue(drop({ waiting }), 99, 10)).toBe(false);
    expect(isDue(drop({ waiting }), 100, 10)).toBe(true);
    expect(isDue(drop({ waiting }), 4, 0)).toBe(false);
  });
  test('never, as long as a name shows that it is still being written', () => {
    const waiting = { kind: 'writing' as const, names: ['x'], shownBy: 'x.part' };
    expect(isDue(drop({ waiting }), 1e6, 10)).toBe(false);
  });
  test('never, before its tables have been checked', () => {
    expect(isDue(drop({ waiting: { kind: 'unchecked', names: ['x'] } }), 1e6, 10)).toBe(false);
  });
});
