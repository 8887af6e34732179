import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ALPINE_ADDRESS, ALPINE_RECOVERY_SHELL, ALPINE_REPORT, buildAlpine } from '../lab/alpine.ts';
import { type BootRequest, bootGuest } from '../lab/boot.ts';
import { formOf } from '../lab/forms.ts';
import { ended } from '../lab/matrix-as-is.ts';
import { convertDrop, ownOutput, planDrop } from '../lab/matrix-convert.ts';
import { seenOnce } from '../lab/seen-once.ts';

/** A real system that is not Debian: OpenRC, busybox, musl and mkinitfs, on a SATA disk of VMware's. */
const MAC = '00:50:56:03:00:01';
async function boot(file: string, format: 'raw' | 'qcow2', hardware: BootRequest['hardware']) {
  const end = await bootGuest({
    disks: [{ file, format }],
    ...{ hardware, firmware: 'bios', macs: [MAC] },
    until: [ALPINE_REPORT, ALPINE_RECOVERY_SHELL],
  });
  return ended(end).serial;
}

/** Address of eth0, and device by mount point, as the guest tells them. */
function told(serial: string) {
  const mounts = [...serial.matchAll(/^(\/dev\/\S+) on (\/\S*) type ext4/gm)];
  return {
    address: /eth0\s+inet (\S+)/.exec(serial)?.[1],
    mounts: Object.fromEntries(mounts.map(([, device = '', mountpoint = '']) => [mountpoint, device])),
  };
}

test('Alpine as VMware leaves it boots on SATA with its address and /boot', async () => {
  const { image, key } = await buildAlpine();
  const serial = await seenOnce(key, 'at-home', () => boot(image, 'raw', 'sata'));
  expect(told(serial)).toEqual({
    address: `${ALPINE_ADDRESS}/24`,
    mounts: { '/': '/dev/sda2', '/boot': '/dev/sda1' },
  });
});

test('Alpine as VMware leaves it stops in its initramfs on virtio; converted, it boots with its address and /boot, and a second plan is empty', async () => {
  const { image, key } = await buildAlpine();
  const asItIs = await seenOnce(key, 'as-is', () => boot(image, 'raw', 'virtio'));
  expect(asItIs).toMatch(ALPINE_RECOVERY_SHELL);
  expect(asItIs).not.toMatch(ALPINE_REPORT);

  const scratch = await mkdtemp(join(tmpdir(), 'h2k-alpine-'));
  try {
    const drop = join(scratch, 'drop', 'alpine');
    await mkdir(drop, { recursive: true });
    await formOf(image, 'streamOptimized', drop, { name: 'alpine' });
    const { directory, report, error } = await convertDrop(drop, scratch);
    expect(error).toBeNull();
    expect(report?.identity).toMatchObject({
      ...{ os_distro: 'alpine', os_version: expect.stringMatching(/^3\.23/), init_system: 'openrc' },
      ...{ firmware: 'bios', bootloader: 'extlinux', initramfs_tool: 'mkinitfs', package_manager: 'apk' },
    });
    expect(report?.boot).toMatchObject({ verdict: 'booted', level: 'login', failure: null });

    const output = await ownOutput(directory as string, join(scratch, 'second', 'alpine'));
    const delivered = await boot(join(output, 'alpine-disk0.qcow2'), 'qcow2', 'virtio');
    expect(told(delivered)).toEqual({
      address: `${ALPINE_ADDRESS}/24`,
      mounts: { '/': '/dev/vda2', '/boot': '/dev/vda1' },
    });
    expect(JSON.parse(await planDrop(output))).toMatchObject({ operations: [] });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
