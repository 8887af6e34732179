import { chmod, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  entryDirectory,
  extlinuxConfig,
  grubConfig,
  hasKernelOnEsp,
  rootArguments,
  systemdBootFiles,
  unifiedImagePath,
} from './boot-loaders.ts';
import { bootWithCloudInit } from './cloud-init.ts';
import { type GuestFiles, guestFiles } from './guest-files.ts';
import { filesystemsOf } from './layout.ts';
import { makeOldKernel } from './old-kernel.ts';
import { packagesTarball } from './packages.ts';
import { asRoot } from './privileged.ts';
import type { GuestRecipe } from './recipes.ts';

/** Where GRUB's modules come from: the same build as the `grub-mkimage` that makes core.img. */
export const HOST_GRUB_BIOS = '/usr/lib/grub/i386-pc';

/**
 * The guest's whole file tree under `root`, ready to become filesystems. Returns the kernel's version. Takes
 * about 15 s.
 */
export async function makeTree(recipe: GuestRecipe, root: string): Promise<{ kernel: string }> {
  const base = await packagesTarball(recipe);
  await mkdir(root);
  await asRoot('tar', ['-xpf', base, '-C', root, '--numeric-owner', '--exclude=./dev/*']);
  await rm(join(root, 'etc/resolv.conf'), { force: true });
  await writeFiles(root, guestFiles(recipe));
  await emptyRootPassword(root);
  for (const { mount } of filesystemsOf(recipe)) {
    if (mount.startsWith('/')) await mkdir(join(root, mount), { recursive: true });
  }
  const installed = await kernelVersion(root);
  if (recipe.withoutVirtio === true) await removeVirtio(root, installed);
  const kernel = recipe.withoutVirtio1 === true ? await makeOldKernel(root, installed) : installed;
  if (recipe.cloudInit === true) await bootWithCloudInit(recipe, root);
  await makeInitramfs(recipe, root, kernel);
  await writeLoader(recipe, root, kernel);
  await writeFiles(root, { '/srv/README': { content: 'The data of this VM.\n' } });
  return { kernel };
}

/** The guest's own tool, seeing only its own devices: what it finds must not depend on this host. */
async function makeInitramfs(recipe: GuestRecipe, root: string, kernel: string): Promise<void> {
  const image = `/boot/initrd.img-${kernel}`;
  await inChroot(
    root,
    recipe.initramfs.tool === 'dracut'
      ? [...dracut(recipe), '--mdadmconf', image, kernel]
      : ['/usr/sbin/update-initramfs', '-c', '-k', kernel],
  );
}

function dracut({ initramfs: { modules, omit = [] } }: GuestRecipe): string[] {
  const drivers = ['--drivers', modules.join(' '), '--omit-drivers', omit.join(' ')];
  return ['/usr/bin/dracut', '--force', '--quiet', '--no-hostonly', ...drivers];
}

async function removeVirtio(root: string, kernel: string): Promise<void> {
  const modules = `/lib/modules/${kernel}`;
  await inChroot(root, ['find', `${modules}/kernel`, '-name', 'virtio*.ko*', '-delete']);
  await inChroot(root, ['/usr/sbin/depmod', kernel]);
}

async function inChroot(root: string, command: readonly string[]): Promise<void> {
  const script =
    'root=$1; shift; mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; exec chroot "$root" env TMPDIR=/tmp "$@"';
  await asRoot('sh', ['-ec', script, 'sh', root, ...command]);
}

/**
 * The loader's files in the tree. What lies outside of any filesystem is image.ts' and appliance-image.ts'
 * part.
 */
async function writeLoader(recipe: GuestRecipe, root: string, kernel: string): Promise<void> {
  if (recipe.loader === 'extlinux') {
    await writeFiles(root, {
      '/boot/extlinux/extlinux.conf': { content: extlinuxConfig(recipe, kernel) },
    });
    return;
  }
  const esp = join(root, 'boot/efi');
  if (recipe.loader === 'systemd-boot-unified' || recipe.loader === 'unified')
    await makeUnifiedImage(recipe, root, kernel);
  if (recipe.loader === 'systemd-boot-unified') {
    await writeFiles(esp, { 'loader/loader.conf': { content: 'timeout 1\n' } });
    await copySystemdBoot(root, esp);
  }
  if (recipe.loader === 'systemd-boot') {
    const entry = join(esp, entryDirectory(recipe, kernel));
    const files = Object.entries(systemdBootFiles(recipe, kernel));
    await writeFiles(esp, Object.fromEntries(files.map(([path, content]) => [path, { content }])));
    await mkdir(entry, { recursive: true });
    await cp(join(root, `boot/vmlinuz-${kernel}`), join(entry, 'linux'));
    await cp(join(root, `boot/initrd.img-${kernel}`), join(entry, `initrd.img-${kernel}`));
    await copySystemdBoot(root, esp);
  }
  if (hasKernelOnEsp(recipe)) return;
  await writeFiles(root, {
    '/boot/grub/grub.cfg': { content: grubConfig(recipe, kernel), mode: 0o600 },
  });
  if (recipe.firmware === 'bios') await copyGrubModules(join(root, 'boot/grub/i386-pc'));
}

async function copySystemdBoot(root: string, esp: string): Promise<void> {
  const program = 'systemd-bootx64.efi';
  await mkdir(join(esp, 'EFI/systemd'), { recursive: true });
  await cp(join(root, 'usr/lib/systemd/boot/efi', program), join(esp, 'EFI/systemd', program));
}

/** By the guest's own tool: ukify, or dracut, which has objcopy put the sections where it wants them. */
async function makeUnifiedImage(recipe: GuestRecipe, root: string, kernel: string): Promise<void> {
  const image = `/boot/efi/${unifiedImagePath(recipe, kernel)}`;
  const options = `${rootArguments(recipe)} ro quiet`;
  await mkdir(dirname(join(root, image)), { recursive: true });
  const command =
    recipe.initramfs.tool === 'dracut'
      ? [...dracut(recipe), '--uefi', '--kernel-cmdline', options, image, kernel]
      : [
          ...['/usr/bin/ukify', 'build', `--linux=/boot/vmlinuz-${kernel}`, `--uname=${kernel}`],
          ...[`--initrd=/boot/initrd.img-${kernel}`, `--cmdline=${options}`, `--output=${image}`],
        ];
  await inChroot(root, command);
}

async function writeFiles(root: string, files: GuestFiles): Promise<void> {
  for (const [path, file] of Object.entries(files)) {
    const target = join(root, path);
    await mkdir(dirname(target), { recursive: true });
    await rm(target, { force: true });
    if ('link' in file) {
      await symlink(file.link, target);
      continue;
    }
    await writeFile(target, file.content);
    await chmod(target, file.mode ?? 0o644);
  }
}

/** Root logs in on the console without a password: nothing else may reach a lab guest. */
async function emptyRootPassword(root: string): Promise<void> {
  const path = join(root, 'etc/shadow');
  const shadow = await readFile(path, 'utf8');
  await writeFile(path, shadow.replace(/^root:[^:]*:/m, 'root::'));
}

async function kernelVersion(root: string): Promise<string> {
  const [version, ...others] = (await readdir(join(root, 'boot')))
    .filter((name) => name.startsWith('vmlinuz-'))
    .map((name) => name.slice('vmlinuz-'.length));
  if (version === undefined || others.length > 0) throw new Error(`expected one kernel in ${root}/boot`);
  return version;
}

async function copyGrubModules(target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  for (const name of await readdir(HOST_GRUB_BIOS)) {
    if (/\.(mod|lst)$/.test(name)) await cp(join(HOST_GRUB_BIOS, name), join(target, name));
  }
}
