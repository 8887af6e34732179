import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readPackages } from '../../../../src/families/linux/packages.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-packages-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function put(...files: string[]) {
  for (const file of files) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), 'package');
  }
}
const system = (os_distro: string, os_version: string, architecture = 'x86_64') => ({
  os_distro,
  os_version,
  architecture,
});
const names = async (identity: ReturnType<typeof system>) =>
  (await readPackages(directory, identity)).files.map(({ file }) => file);

it('takes the directory of the system, by version, major version or name, and the packages of its architecture', async () => {
  put(
    'debian-12/qemu-guest-agent_1%3a7.2+dfsg-7+deb12u18_amd64.deb',
    'debian-12/qemu-guest-agent_1%3a7.2+dfsg-7+deb12u18_arm64.deb',
    'debian-12/base_1_all.deb',
    'debian-12/README',
    'rocky-9/qemu-guest-agent-9.0.0-10.el9.x86_64.rpm',
    'rocky-9/base-1.noarch.rpm',
    'rocky-9/qemu-guest-agent-9.0.0-10.el9.i686.rpm',
    'alpine/qemu-guest-agent-9.apk',
  );
  const debian = ['base_1_all.deb', 'qemu-guest-agent_1%3a7.2+dfsg-7+deb12u18_amd64.deb'];
  expect(await names(system('debian', '12'))).toEqual(debian);
  expect(await names(system('rocky', '9.4'))).toEqual([
    'base-1.noarch.rpm',
    'qemu-guest-agent-9.0.0-10.el9.x86_64.rpm',
  ]);
  expect(await names(system('debian', '12', 'aarch64'))).toEqual([
    'base_1_all.deb',
    'qemu-guest-agent_1%3a7.2+dfsg-7+deb12u18_arm64.deb',
  ]);
  // What INSPECT calls i386 is i686 to RPM.
  expect(await names(system('rocky', '9.4', 'i386'))).toEqual([
    'base-1.noarch.rpm',
    'qemu-guest-agent-9.0.0-10.el9.i686.rpm',
  ]);
  expect(await names(system('alpine', '3.19'))).toEqual([]);
  expect(await names(system('fedora', '40'))).toEqual([]);
});

it('is not led out of the directory by what a guest calls itself', async () => {
  put('packages/README', 'secret/qemu-guest-agent_1_amd64.deb');
  const packages = await readPackages(join(directory, 'packages'), system('../secret', ''));
  expect(packages.files).toEqual([]);
});

it('names a directory that cannot be read', async () => {
  await expect(readPackages(join(directory, 'none'), system('debian', '12'))).rejects.toMatchObject({
    code: 'plan.packages-unreadable',
  });
  expect(await readPackages('', system('debian', '12'))).toEqual({ directory: '', files: [] });
});
