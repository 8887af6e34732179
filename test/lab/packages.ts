import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';
import { cached, testCache } from './cache.ts';
import { hexFrom } from './layout.ts';
import type { GuestRecipe } from './recipes.ts';

type Release = GuestRecipe['release'];

/**
 * In every guest of the lab, whatever boots it. The kernel is not among them: it needs an initramfs tool, and
 * those exclude each other.
 */
const BASE_OF_RELEASE = [
  ...['systemd-sysv', 'udev', 'dbus', 'kmod', 'zstd'],
  ...['e2fsprogs', 'dosfstools', 'iproute2', 'open-vm-tools'],
];

/** Modules that no lab guest's machine has hardware for, below `kernel/` of its modules. */
const UNUSED_MODULES = [
  ...['sound/*', 'drivers/media/*', 'drivers/infiniband/*', 'drivers/net/wireless/*', 'drivers/net/can/*'],
  ...[
    'drivers/gpu/drm/amd/*',
    'drivers/gpu/drm/i915/*',
    'drivers/gpu/drm/nouveau/*',
    'drivers/gpu/drm/radeon/*',
  ],
  // Intel's (e1000, e1000e) stay; vmxnet3 and virtio_net lie one level higher.
  ...['drivers/gpu/drm/xe/*', 'drivers/net/ethernet/[!i]*', 'drivers/accel/*', 'drivers/staging/*'],
  ...['drivers/iio/*', 'drivers/hwmon/*', 'drivers/hid/*', 'drivers/bluetooth/*', 'drivers/platform/*'],
  ...['drivers/usb/serial/*', 'drivers/usb/gadget/*', 'drivers/isdn/*', 'drivers/mtd/*', 'drivers/comedi/*'],
  ...['drivers/scsi/lpfc/*', 'drivers/scsi/qla2xxx/*', 'drivers/scsi/qla4xxx/*', 'drivers/scsi/bfa/*'],
  ...['drivers/scsi/aic7xxx/*', 'drivers/scsi/be2iscsi/*', 'drivers/scsi/mpi3mr/*', 'drivers/crypto/qat/*'],
  ...['fs/ocfs2/*', 'fs/smb/*', 'fs/nfs/*', 'fs/nfsd/*', 'fs/ceph/*', 'fs/gfs2/*', 'fs/f2fs/*', 'fs/afs/*'],
  ...['net/bluetooth/*', 'net/mac80211/*', 'net/wireless/*', 'net/sctp/*', 'net/tipc/*', 'net/ceph/*'],
];
/**
 * Not a VM's business, and half of the size: less to write, to convert and to boot from. Debian's kernels up
 * to 12 have their modules in /lib, newer ones in /usr/lib.
 */
const EXCLUDED = [
  ...['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/fonts/*'],
  ...['/lib', '/usr/lib'].flatMap((lib) => UNUSED_MODULES.map((path) => `${lib}/modules/*/kernel/${path}`)),
];

/**
 * Debian's release with `packages` installed, as a tarball without an initramfs. Cached for each release and
 * set of packages; made from the release's base in about 20 s, the first of a release in a minute. What was
 * downloaded is kept for the next set.
 */
export async function packagesTarball(recipe: Pick<GuestRecipe, 'release' | 'packages'>): Promise<string> {
  const { release, packages } = recipe;
  const key = keyOf([BASE_OF_RELEASE, EXCLUDED, packages]);
  return cached(`packages-${release}-${key}.tar`, async (scratch) => {
    const base = await releaseTarball(release);
    const tarball = join(scratch, 'packages.tar');
    const wanted = packages.filter((name) => !BASE_OF_RELEASE.includes(name));
    await mmdebstrap(release, ['', tarball], {
      options: [
        ...['--variant=custom', '--skip=update,cleanup/apt'],
        `--setup-hook=tar -x -C "$1" -f ${base} --exclude='./dev/*' && mkdir -p "$1/dev/pts" "$1/dev/shm"`,
      ],
      commands: [
        `chroot "$1" apt-get -q -y --no-install-recommends install ${wanted.join(' ')}`,
        // Out of date with the next run, and a tenth of the guest's size.
        'rm -rf "$1"/var/lib/apt/lists/*',
      ],
    });
    return tarball;
  });
}

/** The release with what all guests have, and apt's lists. */
function releaseTarball(release: Release): Promise<string> {
  const key = keyOf([BASE_OF_RELEASE, EXCLUDED]);
  return cached(`release-${release}-${key}.tar`, async (scratch) => {
    const tarball = join(scratch, 'release.tar');
    await mmdebstrap(release, [release, tarball, await mirror()], {
      options: [
        ...['--variant=minbase', '--skip=cleanup/apt', `--include=${BASE_OF_RELEASE.join(',')}`],
        '--aptopt=APT::Install-Recommends "false"',
        ...EXCLUDED.map((path) => `--dpkgopt=path-exclude=${path}`),
        '--dpkgopt=force-unsafe-io',
      ],
      commands: [],
    });
    return tarball;
  });
}

/**
 * mmdebstrap(1) with a cache of downloaded packages for the release; `commands` run while it is there, `$1`
 * is the root.
 */
async function mmdebstrap(
  release: Release,
  target: readonly string[],
  { options, commands }: { options: readonly string[]; commands: readonly string[] },
): Promise<void> {
  const archives = join(testCache(), `archives-${release}`);
  await mkdir(archives, { recursive: true });
  const hooks = [
    `--setup-hook=mkdir -p "$1/var/cache/apt/archives"`,
    `--setup-hook=sync-in ${archives} /var/cache/apt/archives`,
    ...commands.map((command) => `--customize-hook=${command}`),
    `--customize-hook=sync-out /var/cache/apt/archives ${archives}`,
    '--customize-hook=rm -rf "$1"/var/cache/apt/archives/*.deb',
  ];
  await run(
    'mmdebstrap',
    ['--quiet', '--format=tar', '--skip=download/empty,essential/unlink', ...options, ...hooks, ...target],
    // The lab makes each guest's initramfs itself, once its configuration is there.
    { timeoutSeconds: 1_800, env: { INITRD: 'No' } },
  );
}

function keyOf(parts: unknown): string {
  return hexFrom(JSON.stringify(parts)).slice(0, 16);
}

/** The mirror that this machine's apt uses; the security archive has only part of a release. */
export async function mirror(): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(SITE)']);
  const sites = stdout.toString('utf8').split('\n');
  const found = sites.find((site) => /\/debian\/?$/.test(site));
  if (found === undefined)
    throw new Error('apt knows no mirror of Debian: see `apt-get indextargets`, and run `apt-get update`');
  return found;
}

/**
 * Whether the mirror still has an old release. Throws where the mirror does not answer at all: asked as apt
 * asks, with its proxy, for one that it must have.
 */
export async function mirrorHas(release: Release): Promise<boolean> {
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
