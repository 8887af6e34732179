import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { GuestWriter } from '../../../src/access/guest-writer.js';
import { type InstallPackages, installPackages } from '../../../src/operations/install-packages.js';
import type { Operation } from '../../../src/operations/registry.js';
import { memoryWriter } from '../access/memory-writer.js';

const FILE = 'qemu-guest-agent_7.2_amd64.deb';
const COPY = `/var/tmp/hyper2kvm-${FILE}`;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-install-'));
  writeFileSync(join(directory, FILE), 'package');
});
afterEach(() => rmSync(directory, { recursive: true }));

const FILE_STAT = { type: 'file', mode: 0o644, uid: 0, gid: 0, size: 1, device: 1, inode: 1 } as const;

/** A guest whose dpkg does what `run` does to its files. */
function guest(run: (files: Set<string>, command: readonly string[]) => void) {
  const files = new Set<string>();
  const target: GuestWriter = {
    ...memoryWriter({}),
    stat: async (path) => (files.has(path) ? FILE_STAT : null),
    create: async (path) => void files.add(path),
    remove: async (path) => void files.delete(path),
    run: async (command) => {
      run(files, command);
      return '';
    },
  };
  return { files, target };
}
const operation = (sha256 = createHash('sha256').update('package').digest('hex')) =>
  ({
    op: 'install_packages',
    fixer: 'guest-agent',
    reason: 'asked for',
    directory,
    packages: [{ file: FILE, sha256 }],
    command: ['dpkg', '--install'],
    programs: ['/usr/sbin/qemu-ga'],
  }) satisfies Operation;
const install = (wanted: InstallPackages, target: GuestWriter) =>
  installPackages.execute(target, wanted, { signal: new AbortController().signal, listings: {} });

it('installs with services forbidden to start, leaves nothing of its own behind', async () => {
  const { files, target } = guest((there, command) => {
    expect(command).toEqual(['dpkg', '--install', COPY]);
    expect([...there]).toEqual([COPY, '/usr/sbin/policy-rc.d']);
    there.add('/usr/sbin/qemu-ga');
  });
  expect(await install(operation(), target)).toEqual([
    '/usr/sbin/qemu-ga: installed from 1 packages by dpkg',
  ]);
  expect([...files]).toEqual(['/usr/sbin/qemu-ga']);
});

it('keeps the guest’s own policy', async () => {
  const { files, target } = guest((there) => there.add('/usr/sbin/qemu-ga'));
  files.add('/usr/sbin/policy-rc.d');
  await install(operation(), target);
  expect(files.has('/usr/sbin/policy-rc.d')).toBe(true);
});

it.each([
  ['that is not the one PLAN saw', 'fix.packages-changed', operation, () => {}],
  ['that brings no agent', 'fix.packages-failed', undefined, () => {}],
  [
    'that dpkg refuses',
    'fix.packages-failed',
    undefined,
    () => {
      throw new Error('dependency problems');
    },
  ],
])('fails with its name for a package %s', async (_, code, changed, run) => {
  const { target } = guest(run);
  const wanted = changed === undefined ? operation() : changed('00');
  await expect(install(wanted, target)).rejects.toMatchObject({ code });
});
