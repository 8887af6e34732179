import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callError } from '../../../src/appliance/errors.js';
import { applianceReader } from '../../../src/appliance/reader.js';
import { answeringSession } from './session.js';

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'h2k-reader-test-'));
});
afterEach(() => rm(work, { recursive: true, force: true }));

const readerOf = (answers: Parameters<typeof answeringSession>[0]) => {
  const { session, calls } = answeringSession(answers);
  return { reader: applianceReader(session, work), calls };
};
const failing = (errno: number) => () => {
  throw callError('statns', 'failed', errno);
};

describe('what is at a path', () => {
  it.each([
    [0o100644, 'file'],
    [0o040755, 'directory'],
    [0o120777, 'symlink'],
    [0o010644, 'other'],
  ])('of mode %o is a %s', async (mode, type) => {
    const { reader } = readerOf({ lstatns: () => ({ mode, uid: 1, gid: 2, size: 3, device: 4, inode: 5 }) });
    const facts = { mode: mode & 0o7777, uid: 1, gid: 2, size: 3, device: 4, inode: 5 };
    expect(await reader.lstat('/a')).toEqual({ type, ...facts });
  });

  it.each([
    ['nothing', 2],
    ['below a file', 20],
    ['a link in a circle', 40],
    ['of an impossible name', 36],
  ])('is null for %s, and any other refusal is an error', async (_, errno) => {
    expect(await readerOf({ statns: failing(errno) }).reader.stat('/a')).toBeNull();
    const broken = readerOf({ statns: failing(5) }).reader.stat('/a');
    await expect(broken).rejects.toMatchObject({ code: 'guest.call-failed', errno: 5 });
  });
});

describe('a file', () => {
  it('that is small is read by one call', async () => {
    const { reader, calls } = readerOf({ pread: () => Buffer.from('text') });
    expect((await reader.read('/etc/fstab')).toString()).toBe('text');
    expect(calls).toHaveLength(1);
  });

  it('that does not fit into a message comes by a file of the host, which is gone then', async () => {
    const content = Buffer.alloc(3 * 1024 ** 2, 'x');
    const { reader } = readerOf({
      pread: (_path: string, count: number, offset: number) => content.subarray(offset, offset + count),
    });
    expect((await reader.read('/boot/initrd')).equals(content)).toBe(true);
    await reader.download('/boot/initrd', join(work, 'copy'));
    expect((await readFile(join(work, 'copy'))).equals(content)).toBe(true);
    await rm(join(work, 'copy'));
    expect((await reader.readAt('/boot/initrd', 1, content.length)).length).toBe(content.length - 1);
    expect(await readdir(work)).toEqual([]);
  });
});

describe('a file that cannot be read to its end', () => {
  const content = Buffer.alloc(8192, 'x');
  const broken = (_: string, count: number, offset: number) =>
    offset < content.length ? content.subarray(offset, offset + count) : failing(5)();

  it('is an error, not a shorter file', async () => {
    const { reader } = readerOf({ pread: broken });
    const refused = { code: 'guest.call-failed', errno: 5 };
    await expect(reader.read('/etc/fstab')).rejects.toMatchObject(refused);
    await expect(reader.download('/boot/initrd', join(work, 'copy'))).rejects.toMatchObject(refused);
  });

  it('is whole if it ends with a page', async () => {
    const pread = (_: string, count: number, offset: number) => content.subarray(offset, offset + count);
    expect((await readerOf({ pread }).reader.read('/etc/fstab')).equals(content)).toBe(true);
  });
});

describe('the names below a directory', () => {
  const tree: Record<string, { type: string; name: string }[]> = {
    '/boot/': [
      { type: 'd', name: '.' },
      { type: 'd', name: '..' },
      { type: 'r', name: 'vmlinuz' },
      { type: 'd', name: 'grub' },
      { type: 'l', name: 'link' },
    ],
    '/boot/grub/': [{ type: 'd', name: 'empty' }],
    '/boot/grub/empty/': [],
  };
  const found = (_: string, file: string) => writeFile(file, 'from\0find\0');
  const namesOf = async (readdir: (path: string) => unknown, most = { paths: 10_000, bytes: 1024 ** 2 }) => {
    const { reader, calls } = readerOf({ lstatns: () => ({ mode: 0o040755 }), readdir, find0: found });
    return { names: await reader.names('/boot', most), calls: calls.map(([name]) => name) };
  };

  it('are listed directory by directory, without following links', async () => {
    const { names, calls } = await namesOf((path) => tree[path]);
    expect(names).toEqual(['vmlinuz', 'grub', 'link', 'grub/empty']);
    const listed = ['lstatns', 'readdir'];
    expect(calls).toEqual(['lstatns', ...listed, ...listed, ...listed]);
  });

  it.each([
    ['many directories', () => Array.from({ length: 100 }, (_, i) => ({ type: 'd', name: `${i}` }))],
    ['a filesystem that does not tell directories from files', () => [{ type: 'u', name: 'grub' }]],
    [
      'a directory whose name is not UTF-8',
      (path: string) => (path === '/boot/' ? [{ type: 'd', name: '\ufffd' }] : failing(2)()),
    ],
  ])('come from find for %s', async (_, readdir) => {
    const { names, calls } = await namesOf(readdir);
    expect(names).toEqual(['from', 'find']);
    expect(calls.at(-1)).toBe('find0');
  });

  it('come from find for a directory that would fill the memory', async () => {
    const lstatns = () => ({ mode: 0o040755, size: 2 * 1024 ** 2 });
    const { reader, calls } = readerOf({ lstatns, find0: found });
    expect(await reader.names('/boot', { paths: 10, bytes: 100 })).toEqual(['from', 'find']);
    expect(calls.map(([name]) => name)).not.toContain('readdir');
  });

  it.each([
    ['size', { paths: 2, bytes: 199 }],
    ['number', { paths: 1, bytes: 200 }],
  ])('are limited in %s', async (_, most) => {
    const entries = ['x', 'y'].map((letter) => ({ type: 'r', name: letter.repeat(100) }));
    await expect(namesOf(() => entries, most)).rejects.toMatchObject({
      code: 'inspect.configuration-too-large',
    });
    expect((await namesOf(() => entries, { paths: 2, bytes: 200 })).names).toHaveLength(2);
  });

  it('are not asked for again when the appliance is lost', async () => {
    const lost = namesOf(() => {
      throw callError('readdir', 'appliance closed the connection unexpectedly', 0);
    });
    await expect(lost).rejects.toMatchObject({ code: 'guest.died' });
  });
});

it('tar and find are given no link: they would follow it out of the guest', async () => {
  const { reader, calls } = readerOf({ lstatns: () => ({ mode: 0o120777 }) });
  const entries = [];
  const capture = { directory: '/boot', excludes: [], isKept: () => true };
  for await (const entry of reader.capture(capture)) entries.push(entry);
  expect([entries, await reader.names('/boot', { paths: 10, bytes: 1024 })]).toEqual([[], null]);
  expect(calls.map(([name]) => name)).toEqual(['lstatns', 'lstatns']);
});

it('a filesystem is mounted with the options that select its tree', async () => {
  const { reader, calls } = readerOf({ mount_options: () => undefined });
  await reader.mount({ device: '/dev/sda1', mountpoint: '/', options: 'subvol=@' }, 'ro');
  await reader.mount({ device: '/dev/sda2', mountpoint: '/boot', options: '' }, 'rw');
  await reader.mount({ device: '/dev/sda1', mountpoint: '/var', options: 'subvol=@var' }, 'rw');
  expect(calls).toEqual([
    ['mount_options', 'ro,subvol=@', '/dev/sda1', '/'],
    ['mount_options', 'rw,noatime', '/dev/sda2', '/boot'],
    ['mount_options', 'rw,noatime,subvol=@var', '/dev/sda1', '/var'],
  ]);
});
