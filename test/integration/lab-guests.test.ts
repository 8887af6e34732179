import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  bootGuest,
  copyWithSerialConsole,
  INITRAMFS_SHELL,
  LAB_REPORT,
  labReport,
} from '../../src/lab/boot.js';
import { type BuiltGuest, buildGuest } from '../../src/lab/guest.js';
import { RECIPES } from '../../src/lab/recipes.js';

const EMERGENCY = /emergency mode/;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-lab-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** The guest as it is works where it came from; validate.test.ts shows that it does not where it is to go. Together they show that a fix did something. */
describe('bookworm-bios as VMware leaves it', () => {
  let guest: BuiltGuest;
  let disk: string;
  beforeAll(async () => {
    guest = await buildGuest(RECIPES['bookworm-bios']);
    disk = await copyWithSerialConsole(guest, directory);
  });

  test('boots on pvscsi with its address and all of fstab', async () => {
    const { serial, matched } = await boot(guest, disk, 'vmware');
    expect(matched, serial).toBe(LAB_REPORT);
    expect(labReport(serial)).toMatchObject({
      addresses: ['ens192=10.0.2.15/24'],
      mounts: ['/boot', '/', '/srv'],
      swaps: ['/dev/sda3'],
      failed: [],
    });
  });
});

describe('bookworm-uefi as VMware leaves it', () => {
  let guest: BuiltGuest;
  beforeAll(async () => {
    guest = await buildGuest(RECIPES['bookworm-uefi']);
  });

  test('boots on pvscsi with its address and all of fstab', async () => {
    const { serial, matched } = await boot(guest, guest.image, 'vmware', direct(guest));
    expect(matched, serial).toBe(LAB_REPORT);
    expect(labReport(serial)).toMatchObject({
      addresses: ['ens192=10.0.2.15/24'],
      mounts: ['/boot/efi', '/', '/srv'],
      swaps: ['/dev/sda3'],
      failed: [],
    });
  });

  test('stops at the initramfs shell on virtio-blk', async () => {
    const { serial, matched } = await boot(guest, guest.image, 'virtio', direct(guest));
    expect(matched, serial).toBe(INITRAMFS_SHELL);
  });

  test('has nothing that firmware without its NVRAM would start', async () => {
    const noLoader = /BdsDxe: No bootable option or device was found|Shell>|failed to load Boot/;
    const { serial, matched } = await bootGuest({
      disks: [{ file: guest.image, format: 'raw' }],
      hardware: 'virtio',
      firmware: 'uefi',
      mac: guest.recipe.network.mac,
      until: [/Linux version/, /GRUB/, noLoader],
      timeoutSeconds: 120,
    });
    expect(matched, serial).toBe(noLoader);
  });
});

function direct(guest: BuiltGuest) {
  return {
    direct: { kernel: guest.kernel, initrd: guest.initrd, append: 'root=/dev/sda2 ro console=ttyS0' },
  };
}

function boot(
  guest: BuiltGuest,
  file: string,
  hardware: 'vmware' | 'virtio',
  extra: Partial<ReturnType<typeof direct>> = {},
) {
  return bootGuest({
    disks: [{ file, format: 'raw' }],
    hardware,
    firmware: guest.recipe.firmware,
    mac: guest.recipe.network.mac,
    until: [LAB_REPORT, INITRAMFS_SHELL, EMERGENCY],
    ...extra,
  });
}
