import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/tools/run.js';

const SECTOR = 512;

/** Where partition `number` of an MBR disk begins, bytes, as e2fsprogs takes it: `IMAGE?offset=N`. */
async function partition(image: string, number: number): Promise<string> {
  const { stdout } = await run('sfdisk', ['--json', image]);
  const { partitiontable } = JSON.parse(stdout.toString()) as {
    partitiontable: { partitions: { start: number }[] };
  };
  const start = partitiontable.partitions[number - 1]?.start ?? 0;
  return `${image}?offset=${start * SECTOR}`;
}

async function debugfs(filesystem: string, scratch: string, commands: readonly string[]): Promise<string> {
  const script = join(scratch, 'debugfs.commands');
  await writeFile(script, `${commands.join('\n')}\n`);
  const { stdout } = await run('debugfs', ['-w', '-f', script, filesystem]);
  return stdout.toString();
}

async function replace(filesystem: string, scratch: string, path: string, content: string): Promise<void> {
  const file = join(scratch, 'content');
  await writeFile(file, content);
  await debugfs(filesystem, scratch, [`rm ${path}`, `write ${file} ${path}`]);
}

async function read(filesystem: string, scratch: string, path: string): Promise<string> {
  const file = join(scratch, 'read');
  await debugfs(filesystem, scratch, [`dump ${path} ${file}`]);
  return readFile(file, 'utf8');
}

const UNIT = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=file:/dev/ttyS0
ExecStart=/bin/sh -c 'sleep 3; echo; echo HYPER2KVM-EVIDENCE-BEGIN; echo "== state"; systemctl is-active multi-user.target; echo "== mounts"; cat /proc/self/mounts; echo "== swaps"; cat /proc/swaps; echo "== failed"; systemctl --failed --no-legend --plain; echo "== fstab"; cat /etc/fstab; echo HYPER2KVM-EVIDENCE-END'
`;

const VIRTIO_DIRECTORIES = ['kernel/drivers/virtio', 'kernel/drivers/block'];

/**
 * Repairs the lab's BIOS guest with e2fsprogs alone, without any part of the product, so that it must boot on
 * virtio-blk: drivers for the initramfs, devices by UUID, and what the evidence layer would add (serial
 * console, report unit).
 */
export async function repairGuest(image: string, scratch: string): Promise<void> {
  await mkdir(scratch, { recursive: true });
  const boot = await partition(image, 1);
  const root = await partition(image, 2);
  const uuids = await Promise.all([1, 2, 4].map((number) => uuidOf(image, number)));
  const names = await debugfs(boot, scratch, ['ls -p /']);
  const kernel = /vmlinuz-([^/]+)/.exec(names)?.[1] ?? '';

  const grub = await read(boot, scratch, '/grub/grub.cfg');
  const commandLine = `root=UUID=${uuids[1]} console=tty0 console=ttyS0,115200n8`;
  await replace(
    boot,
    scratch,
    '/grub/grub.cfg',
    grub.replace(/root=\/dev\/sda2/g, commandLine).replaceAll(' quiet', ''),
  );

  const mounts = ['/boot', '/', '/srv'].map(
    (mount, index) => `UUID=${uuids[index]} ${mount} ext4 defaults 0 0`,
  );
  await replace(root, scratch, '/etc/fstab', `${mounts.join('\n')}\n`);
  await replace(root, scratch, '/etc/systemd/system/hyper2kvm-evidence.service', UNIT);
  await debugfs(root, scratch, [
    'symlink /etc/systemd/system/multi-user.target.wants/hyper2kvm-evidence.service /etc/systemd/system/hyper2kvm-evidence.service',
  ]);
  await addDrivers(boot, root, kernel, scratch);
}

async function uuidOf(image: string, number: number): Promise<string> {
  const offset = (await partition(image, number)).split('=')[1] ?? '0';
  const { stdout } = await run('blkid', ['-p', '-O', offset, '-o', 'value', '-s', 'UUID', image]);
  return stdout.toString().trim();
}

async function addDrivers(boot: string, root: string, kernel: string, scratch: string): Promise<void> {
  const modules = `usr/lib/modules/${kernel}`;
  const tree = join(scratch, 'initramfs');
  const target = join(tree, modules);
  await mkdir(join(target, 'kernel/drivers'), { recursive: true });
  const listed = await debugfs(root, scratch, [`ls -p /${modules}`]);
  const indexes = [...listed.matchAll(/\/(modules\.[\w.]+)\//g)].map((match) => match[1] as string);
  await debugfs(root, scratch, [
    ...indexes.map((name) => `dump /${modules}/${name} ${join(target, name)}`),
    ...VIRTIO_DIRECTORIES.map((name) => `rdump /${modules}/${name} ${join(target, 'kernel/drivers')}`),
  ]);
  for (const name of await readdir(join(target, 'kernel/drivers/block'))) {
    if (name !== 'virtio_blk.ko') await run('rm', ['-rf', join(target, 'kernel/drivers/block', name)]);
  }
  await run('sh', ['-c', 'find . | cpio --quiet -o -H newc > ../drivers.cpio'], { cwd: tree });
  const initrd = join(scratch, 'initrd');
  await debugfs(boot, scratch, [`dump /initrd.img-${kernel} ${initrd}`]);
  const old = await readFile(initrd);
  const padding = Buffer.alloc((4 - (old.length % 4)) % 4);
  await writeFile(initrd, Buffer.concat([old, padding, await readFile(join(scratch, 'drivers.cpio'))]));
  await debugfs(boot, scratch, [`rm /initrd.img-${kernel}`, `write ${initrd} /initrd.img-${kernel}`]);
}

/** A private copy that may be written, sparse. */
export async function copyImage(image: string, target: string): Promise<string> {
  await run('cp', ['--reflink=auto', '--sparse=always', image, target]);
  return target;
}

/** The MBR's boot code and signature are zeroes: no BIOS starts it. */
export async function withoutBootSector(image: string, target: string): Promise<string> {
  await copyImage(image, target);
  await run('dd', ['if=/dev/zero', `of=${target}`, 'bs=512', 'count=1', 'conv=notrunc', 'status=none']);
  return target;
}

/**
 * A whole MBR whose code hides the cursor (`mov ah,1; mov cx,2000h; int 10h`), so that nothing blinks, and
 * stops the CPU for good (`cli; hlt`): a machine that hangs without a sign.
 */
export async function hangingDisk(target: string): Promise<void> {
  const disk = Buffer.alloc(1024 * 1024);
  disk.set([0xb4, 0x01, 0xb9, 0x00, 0x20, 0xcd, 0x10, 0xfa, 0xf4, 0xeb, 0xfc], 0);
  disk.set([0x55, 0xaa], 510);
  await writeFile(target, disk);
}
