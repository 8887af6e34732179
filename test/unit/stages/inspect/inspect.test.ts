import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { planGuest } from '../../../../src/families/plan.js';
import { readSnapshot } from '../../../../src/guest/snapshot-file.js';
import type { LinuxIdentity } from '../../../../src/model/identity.js';
import { inspectGuest } from '../../../../src/stages/inspect/inspect-guest.js';
import { planDiff } from '../../../../src/stages/plan/plan-diff.js';
import { type MemoryDisks, memoryGuest } from '../../access/memory-guest.js';
import { CLOUD_LAYOUTS } from '../../families/cloud-layouts.js';
import { disksOf } from '../../families/disks-of.js';
import { DISTRIBUTIONS as OTHERS } from '../../families/distributions.js';
import { RPM_DISTRIBUTIONS } from '../../families/distributions-rpm.js';
import { UBUNTU_DISTRIBUTIONS } from '../../families/distributions-ubuntu.js';
import { filesystem, type GuestRecipe, guestOf } from '../../families/guests.js';

const DISTRIBUTIONS = { ...OTHERS, ...RPM_DISTRIBUTIONS, ...UBUNTU_DISTRIBUTIONS };

/** What INSPECT's thread does, on a guest in memory. */
async function inspect(disks: MemoryDisks, { hardware, controllers }: ReturnType<typeof guestOf>) {
  const workDirectory = mkdtempSync(join(tmpdir(), 'h2k-inspect-'));
  onTestFinished(() => rmSync(workDirectory, { recursive: true }));
  const { reader, calls } = memoryGuest(disks);
  const { firmware, nics } = hardware;
  const guest = { controllers, chosenRoot: null, firmware, nics };
  const request = { ...guest, keys: [], isOffline: true, diskIds: [], workDirectory };
  const output = await inspectGuest(reader, request, () => undefined);
  const { identity } = output;
  if (identity.os_type === 'windows') throw new Error('not a Linux guest');
  return { ...output, identity, tree: await readSnapshot(join(workDirectory, output.snapshot)), calls };
}

const golden = (name: string) =>
  readFile(
    new URL(
      `../../families/golden/${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.diff`,
      import.meta.url,
    ),
    'utf8',
  );

/** What a recipe gives its guest as files, not by its identity alone. */
const readable = ({
  os_distro,
  os_version,
  firmware,
  architecture,
  bootloader,
  selinux,
  root,
  kernels,
}: LinuxIdentity) => ({
  ...{ os_distro, os_version, firmware, architecture, bootloader, selinux, root },
  kernels: kernels.map(({ version, image, modules, initramfs }) => ({
    ...{ version, image, modules },
    ...{ initramfs: initramfs?.path, lib: initramfs?.lib, drivers: initramfs?.modules },
  })),
});

describe.each(Object.entries<GuestRecipe>(DISTRIBUTIONS))('%s', (name, recipe) => {
  it('is identified, and planned by what INSPECT reads of it as by what is known of it', async () => {
    const guest = guestOf(recipe);
    const { identity, tree, warnings, calls } = await inspect(disksOf(recipe), guest);
    expect(warnings).toEqual([]);
    expect(readable(identity)).toEqual(readable(guest.identity));
    expect(planDiff(planGuest({ ...guest, identity, tree }))).toBe(await golden(name));
    // Each takes an appliance without KVM 0.2 s.
    expect(calls.length).toBeLessThan(60);
  });
});

it('what cloud-init keeps of its instance is read, without users’ data', async () => {
  const recipe = DISTRIBUTIONS['Debian 12, BIOS, ifupdown']!;
  const secret = '#cloud-config\npassword: secret\n';
  const files = {
    ...recipe.files,
    ...CLOUD_LAYOUTS['Debian, VMware and None'],
    '/var/lib/cloud/instances/i-0123/user-data.txt': secret,
    '/var/lib/cloud/instances/i-0123/user-data.txt.i': secret,
    '/var/lib/cloud/instances/i-0123/cloud-config.txt': secret,
    '/var/lib/cloud/instances/i-0123/obj.pkl': secret,
    '/var/lib/cloud/seed/nocloud/user-data': secret,
  };
  const guest = guestOf({ ...recipe, files });
  const { identity, tree, warnings } = await inspect(disksOf({ ...recipe, files }), guest);
  expect(warnings).toEqual([]);
  const { operations } = planGuest({ ...guest, identity, tree });
  expect(operations.filter(({ fixer }) => fixer === 'cloud-init')).toMatchObject([
    { path: '/etc/cloud/cloud.cfg.d/zz-hyper2kvm.cfg' },
    { path: '/var/lib/cloud/instances/i-0123/manual-clean' },
  ]);
  expect(tree.exists('/var/lib/cloud/seed/nocloud/user-data')).toBe(true);
  expect(tree.entries().filter(({ content }) => content?.includes('secret'))).toEqual([]);
});

it('a guest whose disks have no system is refused', async () => {
  const recipe: GuestRecipe = { filesystems: [filesystem('/dev/sda1', 'ext4', 'data')] };
  const disks = { ...disksOf(recipe), filesystems: { '/dev/sda1': { '/photos/1.jpg': null } } };
  await expect(inspect(disks, guestOf(recipe))).rejects.toMatchObject({ code: 'inspect.no-os' });
});

it('a system without a kernel is refused', async () => {
  const files = { '/etc/fstab': '/dev/sda1 / ext4 defaults 0 1\n', '/usr/bin/apt': null };
  const recipe = { files, filesystems: [filesystem('/dev/sda1', 'ext4', 'root')] };
  await expect(inspect(disksOf(recipe), guestOf(recipe))).rejects.toMatchObject({
    code: 'inspect.no-kernel',
  });
});
