import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../tools/run.js';
import {
  entryDirectory,
  extlinuxConfig,
  grubConfig,
  hasKernelOnEsp,
  rootArguments,
  systemdBootFiles,
  unifiedImagePath,
} from './boot-loaders.js';
import { cached } from './cache.js';
import { type GuestFiles, guestFiles } from './guest-files.js';
import { filesystemsOf, hexFrom } from './layout.js';
import { asRoot } from './privileged.js';
import type { GuestRecipe } from './recipes.js';

/** Not a VM's business, and a quarter of the size: less to write, to convert and to boot from. */
const EXCLUDED = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/locale/*',
  '/lib/modules/*/kernel/sound/*',
  '/lib/modules/*/kernel/drivers/media/*',
  '/lib/modules/*/kernel/drivers/infiniband/*',
  '/lib/modules/*/kernel/drivers/net/wireless/*',
  '/lib/modules/*/kernel/drivers/gpu/drm/amd/*',
  '/lib/modules/*/kernel/drivers/gpu/drm/i915/*',
  '/lib/modules/*/kernel/drivers/gpu/drm/nouveau/*',
  '/lib/modules/*/kernel/drivers/gpu/drm/radeon/*',
] as const;
/** Where GRUB's modules come from: the same build as the `grub-mkimage` that makes core.img. */
export const HOST_GRUB_BIOS = '/usr/lib/grub/i386-pc';

/** The guest's whole file tree under `root`, ready to become filesystems. Returns the kernel's version. Takes about 15 s. */
export async function makeTree(recipe: GuestRecipe, root: string): Promise<{ kernel: string }> {
  const base = await baseTarball(recipe);
  await mkdir(root);
  await asRoot('tar', ['-xpf', base, '-C', root, '--numeric-owner', '--exclude=./dev/*']);
  await rm(join(root, 'etc/resolv.conf'), { force: true });
  await writeFiles(root, guestFiles(recipe));
  await emptyRootPassword(root);
  for (const { mount } of filesystemsOf(recipe)) {
    if (mount.startsWith('/')) await mkdir(join(root, mount), { recursive: true });
  }
  const kernel = await kernelVersion(root);
  if (recipe.withoutVirtio === true) await removeVirtio(root, kernel);
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
      : ['/usr/sbin/update-initramfs', '-u', '-k', 'all'],
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

/** The loader's files in the tree. What lies outside of any filesystem is image.ts' and appliance-image.ts' part. */
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

/** Debian's packages as one tarball, cached for each release and set of packages. The first time takes two minutes and the network. */
export async function baseTarball(recipe: Pick<GuestRecipe, 'release' | 'packages'>): Promise<string> {
  const key = hexFrom(JSON.stringify([recipe.release, recipe.packages, EXCLUDED])).slice(0, 16);
  return cached(`base-${recipe.release}-${key}.tar`, async (scratch) => {
    const tarball = join(scratch, 'base.tar');
    const options = [
      '--variant=minbase',
      '--format=tar',
      '--aptopt=APT::Install-Recommends "false"',
      ...EXCLUDED.map((path) => `--dpkgopt=path-exclude=${path}`),
      `--include=${recipe.packages.join(',')}`,
    ];
    await run('mmdebstrap', [...options, recipe.release, tarball, await mirror()], { timeoutSeconds: 1_800 });
    return tarball;
  });
}

/** The mirror that this machine's apt uses; the security archive has only part of a release. */
export async function mirror(): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(SITE)']);
  const sites = stdout.toString('utf8').split('\n');
  return sites.find((site) => /\/debian\/?$/.test(site)) ?? 'http://deb.debian.org/debian';
}

/** Whether the mirror still has an old release. Throws where the mirror does not answer at all: asked as apt asks, with its proxy, for one that it must have. */
export async function mirrorHas(release: GuestRecipe['release']): Promise<boolean> {
  if (await canDownload(`dists/${release}/Release`)) return true;
  if (await canDownload('dists/bookworm/Release')) return false;
  throw new Error(`${await mirror()} cannot be reached`);
}

async function canDownload(path: string): Promise<boolean> {
  const scratch = await mkdtemp(join(tmpdir(), 'h2k-lab-mirror-'));
  try {
    const args = ['download-file', `${await mirror()}/${path}`, join(scratch, 'file')];
    const { code } = await run('/usr/lib/apt/apt-helper', args, { okCodes: [0, 100], timeoutSeconds: 120 });
    return code === 0;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
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
