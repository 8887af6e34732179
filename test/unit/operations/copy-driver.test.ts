import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { GuestStat } from '../../../src/access/guest-reader.js';
import type { GuestWriter } from '../../../src/access/guest-writer.js';
import { NTFS_ACL, protectedDescriptor } from '../../../src/guest/security-descriptor.js';
import { GuestTree } from '../../../src/guest/tree.js';
import { applyOperations } from '../../../src/operations/apply-operations.js';
import { type CopyDriver, copyDriver } from '../../../src/operations/copy-driver.js';
import { executeOperations } from '../../../src/operations/execute-operations.js';
import type { Operation } from '../../../src/operations/registry.js';
import { memoryWriter } from '../access/memory-writer.js';
import { guestOf } from '../families/guests.js';

const DIRECTORY = '/Windows/Drivers/VirtIO';
const SYSTEM_FILE = '/Windows/System32/drivers/viostor.sys';
const context = { signal: new AbortController().signal, listings: {} };

function operation(content = 'driver'): CopyDriver {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-copy-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const source = join(directory, 'viostor.sys');
  writeFileSync(source, content);
  const sha256 = createHash('sha256').update('driver').digest('hex');
  const file = { source, size: 6, sha256 };
  return {
    ...{ op: 'copy_driver', fixer: 'driver-files', reason: 'Windows needs it', package: 'viostor' },
    ...{ folder: 'viostor/w10/amd64', version: '1.2.3.4', signer: 'Microsoft' },
    files: [
      { ...file, path: `${DIRECTORY}/viostor.sys` },
      { ...file, path: SYSTEM_FILE },
    ],
    directories: ['/Windows/Drivers', DIRECTORY],
  };
}

/** A guest in memory, with something else than a file at these paths. */
function guestWith(files: Record<string, string>, others: Record<string, GuestStat['type']> = {}) {
  const guest = memoryWriter(files);
  const lstat: GuestWriter['lstat'] = async (path) => {
    const type = others[path];
    const owner = { uid: 0, gid: 0, device: 1, inode: 1 };
    return type === undefined ? guest.stat(path) : { type, mode: 0o777, size: 0, ...owner };
  };
  return { ...guest, lstat };
}

it('copies what PLAN saw, so that only SYSTEM and Administrators may change it', async () => {
  const guest = guestWith({ [SYSTEM_FILE]: 'older, compressed' });
  const removed: string[] = [];
  const remove = (path: string) => {
    removed.push(path);
    return guest.remove(path);
  };
  expect(await copyDriver.execute({ ...guest, remove }, operation(), context)).toEqual([
    'viostor: 2 files and their access rights read back as planned',
  ]);
  for (const path of [`${DIRECTORY}/viostor.sys`, SYSTEM_FILE]) {
    expect(guest.files.get(path)?.toString()).toBe('driver');
    expect(guest.xattrs.get(`${path}\0${NTFS_ACL}`)).toEqual(protectedDescriptor('file'));
  }
  for (const path of ['/Windows/Drivers', DIRECTORY])
    expect(guest.xattrs.get(`${path}\0${NTFS_ACL}`)).toEqual(protectedDescriptor('directory'));
  // Not written in place: other names of the file keep their content.
  expect(removed).toContain(SYSTEM_FILE);
});

it.each(['changed', 'another length'])('refuses a source that is %s since PLAN', async (content) => {
  const guest = guestWith({});
  await expect(
    copyDriver.execute(guest, operation(content === 'changed' ? 'DRIVER' : content), context),
  ).rejects.toMatchObject({ code: 'fix.drivers-changed' });
  expect(guest.files.size).toBe(0);
});

it('refuses a source that is gone since PLAN', async () => {
  const planned = operation();
  rmSync(planned.files[0]!.source);
  await expect(copyDriver.execute(guestWith({}), planned, context)).rejects.toMatchObject({
    code: 'fix.drivers-changed',
  });
});

it.each<[string, string, GuestStat['type']]>([
  ['a junction in place of a directory', '/Windows/Drivers', 'symlink'],
  ['a file in place of a directory', '/Windows/System32', 'file'],
  ['a directory in place of a file', SYSTEM_FILE, 'directory'],
])('refuses %s before anything is written, by an operation before it, too', async (_, path, type) => {
  const guest = guestWith({ '/etc/hosts': 'old\n' }, { '/Windows': 'directory', [path]: type });
  const first: Operation = {
    ...{ op: 'write_file', fixer: 'another', reason: 'it is first', path: '/etc/hosts', mode: 0o644 },
    ...{ before: 'old\n', after: 'new\n', encoding: 'utf8' },
  };
  await expect(executeOperations(guest, [first, operation()], context)).rejects.toMatchObject({
    code: 'fix.unexpected-file',
  });
  expect([...guest.files.keys()]).toEqual(['/etc/hosts']);
  expect(guest.files.get('/etc/hosts')?.toString()).toBe('old\n');
});

it('refuses a guest that does not keep content or access rights', async () => {
  const guest = guestWith({});
  const unproven = { code: 'fix.unproven' };
  const forgets = { ...guest, getXattr: async () => Buffer.alloc(4) };
  await expect(copyDriver.execute(forgets, operation(), context)).rejects.toMatchObject(unproven);
  const damages = { ...guest, read: async () => Buffer.from('other!') };
  await expect(copyDriver.execute(damages, operation(), context)).rejects.toMatchObject(unproven);
});

it('is done in the guest as PLAN knows it', () => {
  const planned = operation();
  const after = applyOperations({ ...guestOf({}), tree: new GuestTree([]) }, [planned]);
  expect(after.tree.get(SYSTEM_FILE)).toMatchObject({ type: 'file', sha256: planned.files[0]!.sha256 });
  expect(after.tree.isDirectory(DIRECTORY)).toBe(true);
});
