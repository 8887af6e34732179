import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';
import { copyWithKernelOptions } from './boot.ts';
import { bootPartition, espGrubConfig, grubConfig } from './boot-loaders.ts';
import type { BuiltGuest } from './guest.ts';
import { filesystemAt, layOut, partitionAt } from './layout.ts';
import type { RECIPES } from './recipes.ts';

/**
 * Copies of the lab's guests that are broken so that the first plan does not boot them. Made with e2fsprogs and
 * mtools on a copy of the disk: a new case costs no new guest.
 */
export interface BrokenCopy {
  name: string;
  recipe: keyof typeof RECIPES;
  /** The options of the last attempt, null where they depend on what the console leaves of a name. */
  options: Record<string, unknown> | null;
  /** How the last attempt must end. */
  ends: 'booted' | 'failed';
  /** Makes the copy in `directory` and returns it. */
  make(guest: BuiltGuest, directory: string): Promise<string>;
}

/** The UUID of no filesystem. */
const GONE = '3c1b7c0e-53a0-4b5a-9b87-0d2f0d8a9c01';

/** Those that a run of the tests has time for. */
export const BROKEN_COPIES_IN_TESTS = {
  /** systemd cannot mount /srv and stops in emergency mode: that line may fail, and no other. */
  wrongType: {
    name: 'wrong-filesystem-type',
    recipe: 'bookworm-bios',
    options: { 'fix.nofail': ['/srv'] },
    ends: 'booted',
    make: (guest, directory) =>
      withFstab(guest, directory, (line) =>
        /\t\/srv\t/.test(line) ? `UUID=${uuidOf(guest, '/srv')}\t/srv\txfs\tdefaults\t0\t0` : line,
      ),
  },
  /** The firmware refuses what is there, so the distribution's own loader must take its place. */
  brokenLoader: {
    name: 'broken-bootx64',
    recipe: 'bookworm-uefi',
    options: { 'fix.uefi_loader': 'replace' },
    ends: 'booted',
    async make(guest, directory) {
      const copy = await copyOf(guest, directory);
      const { offset } = partitionAt(layOut(guest.recipe), '/boot/efi');
      const garbage = join(directory, 'garbage');
      await writeFile(garbage, 'not a program\n'.repeat(1000));
      await run('mmd', ['-D', 's', '-i', `${copy}@@${offset}`, '::/EFI/BOOT'], { okCodes: [0, 1] });
      await run('mcopy', ['-o', '-i', `${copy}@@${offset}`, garbage, '::/EFI/BOOT/BOOTX64.EFI']);
      return copy;
    },
  },
} as const satisfies Record<string, BrokenCopy>;

export const BROKEN_COPIES: readonly BrokenCopy[] = [
  ...Object.values(BROKEN_COPIES_IN_TESTS),
  /** virtio_blk loads nowhere, whatever the initramfs holds: what remains is SATA. */
  {
    name: 'virtio-blk-does-not-load',
    recipe: 'bookworm-bios',
    options: { 'fix.initramfs': 'rebuild', 'fix.devices': 'sata' },
    ends: 'booted',
    make: (guest, directory) =>
      copyWithKernelOptions(guest, directory, 'rootdelay=5 initcall_blacklist=virtio_blk_init'),
  },
  /** A hook in the image removes what was appended to it; one that is built again has no such hook. */
  {
    name: 'hook-drops-drivers',
    recipe: 'bookworm-bios',
    options: { 'fix.initramfs': 'rebuild' },
    ends: 'booted',
    async make(guest, directory) {
      const copy = await copyWithKernelOptions(guest, directory, 'rootdelay=5');
      const order = await initramfsFile(guest, 'scripts/init-top/ORDER', directory);
      const hook = '#!/bin/sh\nrm -f /usr/lib/modules/*/kernel/drivers/block/virtio_blk.ko*\n';
      const entry = '/scripts/init-top/h2k-drop "$@"\n[ -e /conf/param.conf ] && . /conf/param.conf\n';
      const initrd = await appended(guest, directory, {
        'scripts/init-top/h2k-drop': hook,
        'scripts/init-top/ORDER': entry + order,
      });
      await replaceOnBoot(guest, copy, { [`/initrd.img-${guest.kernelVersion}`]: initrd });
      return copy;
    },
  },
  /** systemd waits for the disk that is not in the drop. Its line is found by what the console leaves of its name. */
  {
    name: 'data-disk-gone',
    recipe: 'bookworm-bios',
    options: null,
    ends: 'booted',
    make: (guest, directory) =>
      withFstab(guest, directory, (line) =>
        /\t\/srv\t/.test(line) ? `${line}\nUUID=${GONE}\t/data\text4\tdefaults\t0\t2` : line,
      ),
  },
  /** GRUB on the ESP looks for a filesystem that was made anew, and stops at its prompt. */
  {
    name: 'stub-of-another-filesystem',
    recipe: 'bookworm-uefi',
    options: null,
    ends: 'booted',
    async make(guest, directory) {
      const copy = await copyOf(guest, directory);
      const stub = join(directory, 'grub.cfg');
      await writeFile(stub, espGrubConfig(guest.recipe).replace(bootPartition(guest.recipe).uuid, GONE));
      const { offset } = partitionAt(layOut(guest.recipe), '/boot/efi');
      await run('mcopy', ['-o', '-i', `${copy}@@${offset}`, stub, '::/EFI/debian/grub.cfg']);
      return copy;
    },
  },
  /** The first entry starts a kernel that was removed; GRUB cannot load it. */
  {
    name: 'kernel-gone',
    recipe: 'bookworm-bios',
    options: null,
    ends: 'booted',
    async make(guest, directory) {
      const copy = await copyOf(guest, directory);
      const { recipe, kernelVersion } = guest;
      const config = join(directory, 'grub.cfg');
      await writeFile(
        config,
        grubConfig(recipe, '6.1.0-999-amd64') + entriesOf(grubConfig(recipe, kernelVersion)),
      );
      await replaceOnBoot(guest, copy, { '/grub/grub.cfg': config });
      return copy;
    },
  },
  /** The newest initramfs was cut off behind its early archive, so it reads as whole; an older one beside it is. */
  {
    name: 'truncated-initramfs',
    recipe: 'bookworm-bios',
    options: null,
    ends: 'booted',
    async make(guest, directory) {
      const copy = await copyOf(guest, directory);
      const { recipe, kernelVersion, initrd } = guest;
      const config = join(directory, 'grub.cfg');
      const first = grubConfig(recipe, kernelVersion);
      const name = `/initrd.img-${kernelVersion}`;
      await writeFile(config, first + entriesOf(first).replaceAll(name, `${name}.old`));
      const early = await archiveOf(directory, { 'kernel/x86/microcode/GenuineIntel.bin': 'x' });
      await replaceOnBoot(guest, copy, { [name]: early, [`${name}.old`]: initrd, '/grub/grub.cfg': config });
      return copy;
    },
  },
  /** The guest's own .link file comes first and gives the card another name; a udev rule goes over both. */
  {
    name: 'own-link-first',
    recipe: 'bookworm-bios',
    options: { 'fix.interface_names': 'mac' },
    ends: 'booted',
    async make(guest, directory) {
      const copy = await copyOf(guest, directory);
      const link = join(directory, 'site.link');
      await writeFile(link, '[Match]\nOriginalName=*\n\n[Link]\nNamePolicy=path\n');
      await replaceOnRoot(guest, copy, { '/etc/systemd/network/00-site.link': link });
      return copy;
    },
  },
  /** Nothing helps: the root that the boot entry names is nowhere. */
  {
    name: 'root-gone',
    recipe: 'bookworm-bios',
    options: { 'fix.initramfs': 'rebuild', 'fix.devices': 'sata' },
    ends: 'failed',
    make: (guest, directory) => copyWithKernelOptions(guest, directory, `rootdelay=5 root=UUID=${GONE}`),
  },
];

/** The entries of a grub.cfg. */
const entriesOf = (config: string): string => config.slice(config.indexOf('menuentry'));

async function copyOf({ image }: BuiltGuest, directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const copy = join(directory, 'broken.raw');
  await run('cp', ['--sparse=always', '--reflink=auto', image, copy]);
  return copy;
}

const uuidOf = ({ recipe }: BuiltGuest, mount: string): string => filesystemAt(recipe, mount).uuid;

/** A copy with each line of its fstab changed. */
async function withFstab(
  guest: BuiltGuest,
  directory: string,
  change: (line: string) => string,
): Promise<string> {
  const copy = await copyOf(guest, directory);
  const { offset } = partitionAt(layOut(guest.recipe), '/');
  const { stdout } = await run('debugfs', ['-R', 'cat /etc/fstab', `${copy}?offset=${offset}`]);
  const file = join(directory, 'fstab');
  await writeFile(file, stdout.toString('utf8').split('\n').map(change).join('\n'));
  await replaceOnRoot(guest, copy, { '/etc/fstab': file });
  return copy;
}

/** Writes files of the host into the filesystem of `mount`, in the place of those of that name. */
async function replaceFiles(
  guest: BuiltGuest,
  copy: string,
  mount: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const { offset } = partitionAt(layOut(guest.recipe), mount);
  const input = Object.entries(files)
    .map(([path, file]) => `rm ${path}\nwrite ${file} ${path}\n`)
    .join('');
  await run('debugfs', ['-w', '-f', '-', `${copy}?offset=${offset}`], { input });
}

const replaceOnRoot = (guest: BuiltGuest, copy: string, files: Readonly<Record<string, string>>) =>
  replaceFiles(guest, copy, '/', files);
const replaceOnBoot = (guest: BuiltGuest, copy: string, files: Readonly<Record<string, string>>) =>
  replaceFiles(guest, copy, '/boot', files);

/** The text of a file in the guest's initramfs. */
async function initramfsFile({ initrd }: BuiltGuest, path: string, directory: string): Promise<string> {
  const unpacked = join(directory, 'initramfs');
  await run('unmkinitramfs', [initrd, unpacked], { timeoutSeconds: 300 });
  return readFile(join(unpacked, path), 'utf8');
}

/** An archive of these files. */
async function archiveOf(directory: string, files: Readonly<Record<string, string>>): Promise<string> {
  const tree = join(directory, 'appendix');
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(tree, path, '..'), { recursive: true });
    await writeFile(join(tree, path), content, { mode: 0o755 });
  }
  const archive = join(directory, 'appendix.cpio');
  await run('sh', ['-c', `find . | cpio --quiet -o -H newc > ${archive}`], { cwd: tree });
  return archive;
}

/** The guest's initramfs with an archive of these files behind it. */
async function appended(
  { initrd }: BuiltGuest,
  directory: string,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const archive = await archiveOf(directory, files);
  const whole = join(directory, 'initrd');
  await run('cp', [initrd, whole]);
  const { length } = await readFile(whole);
  await truncate(whole, Math.ceil(length / 4) * 4);
  await run('sh', ['-c', `cat ${archive} >> ${whole}`]);
  return whole;
}
