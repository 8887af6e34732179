import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type BootEnd,
  type BootRequest,
  bootGuest,
  copyWithKernelOptions,
  INITRAMFS_SHELL,
  LAB_REPORT,
  labReport,
} from '../lab/boot.ts';
import { type BuiltGuest, buildGuest, guestKey } from '../lab/guest.ts';
import { asItIsOnVirtio } from '../lab/matrix-as-is.ts';
import { RECIPES } from '../lab/recipes.ts';
import { seenOnce } from '../lab/seen-once.ts';

/**
 * The guest as it is works where it came from and does not where it is to go, so that a boot after the
 * conversion shows that a fix did something. Each is looked at once for each build of the guest.
 */
const EMERGENCY = /emergency mode/;

test('bookworm-bios as VMware leaves it boots on pvscsi with its address and all of fstab', async () => {
  const guest = await buildGuest(RECIPES['bookworm-bios']);
  const serial = await seenOnce(guestKey(guest.recipe), 'at-home', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-lab-'));
    try {
      const disk = await copyWithKernelOptions(guest, directory, 'console=tty0 console=ttyS0,115200');
      return (await boot(guest, { disks: [{ file: disk, format: 'raw' }] })).serial;
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
  expect(labReport(serial)).toMatchObject({
    addresses: ['ens192=10.0.2.15/24'],
    mounts: ['/boot', '/', '/srv'],
    swaps: ['/dev/sda3'],
    failed: [],
  });
});

test('bookworm-bios as VMware leaves it stops at the initramfs shell on virtio-blk', async () => {
  const guest = await buildGuest(RECIPES['bookworm-bios']);
  expect(await seenOnce(guestKey(guest.recipe), 'as-is', () => asItIsOnVirtio(guest))).toEqual({
    works: false,
    what: 'initramfs shell',
  });
});

test('bookworm-uefi as VMware leaves it boots on pvscsi with its address and all of fstab', async () => {
  const guest = await buildGuest(RECIPES['bookworm-uefi']);
  const serial = await seenOnce(
    guestKey(guest.recipe),
    'at-home',
    async () => (await boot(guest, direct(guest))).serial,
  );
  expect(labReport(serial)).toMatchObject({
    addresses: ['ens192=10.0.2.15/24'],
    mounts: ['/boot/efi', '/', '/srv'],
    swaps: ['/dev/sda3'],
    failed: [],
  });
});

test('bookworm-uefi as VMware leaves it stops at the initramfs shell on virtio-blk', async () => {
  const guest = await buildGuest(RECIPES['bookworm-uefi']);
  const serial = await seenOnce(
    guestKey(guest.recipe),
    'direct-on-virtio',
    async () => (await boot(guest, { hardware: 'virtio', ...direct(guest) })).serial,
  );
  expect(serial).toMatch(INITRAMFS_SHELL);
  expect(serial).not.toMatch(LAB_REPORT);
});

test('bookworm-uefi has nothing that firmware without its NVRAM would start', async () => {
  const guest = await buildGuest(RECIPES['bookworm-uefi']);
  expect(await seenOnce(guestKey(guest.recipe), 'as-is', () => asItIsOnVirtio(guest))).toEqual({
    works: false,
    what: 'no boot loader',
  });
});

function direct(guest: BuiltGuest) {
  return {
    direct: {
      kernel: guest.kernel,
      initrd: guest.initrd,
      append: 'root=/dev/sda2 ro console=ttyS0 rootdelay=5',
    },
  };
}

function boot(guest: BuiltGuest, request: Partial<BootRequest>): Promise<BootEnd> {
  return bootGuest({
    disks: [{ file: guest.image, format: 'raw' }],
    hardware: 'vmware',
    firmware: guest.recipe.firmware,
    macs: [guest.recipe.network.mac],
    until: [LAB_REPORT, INITRAMFS_SHELL, EMERGENCY],
    ...request,
  });
}
