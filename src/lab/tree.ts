import { chmod, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../tools/run.js';
import { cached } from './cache.js';
import { type GuestFiles, grubConfig, guestFiles } from './guest-files.js';
import { type DiskLayout, hexFrom } from './layout.js';
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
export async function makeTree(
  recipe: GuestRecipe,
  disks: readonly DiskLayout[],
  root: string,
): Promise<{ kernel: string }> {
  const base = await baseTarball(recipe);
  await mkdir(root);
  await asRoot('tar', ['-xpf', base, '-C', root, '--numeric-owner', '--exclude=./dev/*']);
  await rm(join(root, 'etc/resolv.conf'), { force: true });
  await writeFiles(root, guestFiles(recipe, disks));
  await emptyRootPassword(root);
  // The guest's own tool, seeing only its own devices: what it finds must not depend on this host.
  await asRoot('sh', [
    '-ec',
    'mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; exec chroot "$1" /usr/sbin/update-initramfs -u -k all',
    'sh',
    root,
  ]);
  const kernel = await kernelVersion(root);
  const files: GuestFiles = { '/boot/grub/grub.cfg': { content: grubConfig(disks, kernel), mode: 0o600 } };
  await writeFiles(root, files);
  if (recipe.firmware === 'bios') await copyGrubModules(join(root, 'boot/grub/i386-pc'));
  for (const { mount } of disks.flatMap((disk) => disk.partitions)) {
    if (mount.startsWith('/')) await mkdir(join(root, mount), { recursive: true });
  }
  await writeFiles(root, { '/srv/README': { content: 'The data of this VM.\n' } });
  return { kernel };
}

/** Debian's packages as one tarball, cached for each release and set of packages. The first time takes two minutes and the network. */
async function baseTarball(recipe: GuestRecipe): Promise<string> {
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
async function mirror(): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(SITE)']);
  const sites = stdout.toString('utf8').split('\n');
  return sites.find((site) => /\/debian\/?$/.test(site)) ?? 'http://deb.debian.org/debian';
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
