import type { GuestReader } from '../../../access/guest-reader.js';
import { SnapshotCollector } from '../../../access/snapshot-collector.js';
import type { Warnings } from '../../../access/tolerate.js';
import type { DeviceContext } from '../../../guest/device-names.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { Mount } from '../../../model/identity.js';
import type { GuestDisks, RootCandidate } from '../../base/inspection.js';
import { followEarlyLinks, followLinks, realDirectory, takeBootLinks } from './links.js';
import { mountSystem } from './mounts.js';
import { volumeAliases } from './volume-names.js';

/**
 * Programs, kernels and archives are not configuration, so only their names are taken. Patterns as GNU tar's
 * `--exclude` takes them.
 */
const BOOT_EXCLUDES = [
  'vmlinu*',
  'initr*',
  'linux',
  'initramfs*',
  'kernel-*',
  'bzImage*',
  'Image-*',
  'System.map*',
  'config-*',
  'symvers-*',
  '*.img',
  '*.mod',
  '*.efi',
  '*.EFI',
  '*.pf2',
  '*.mo',
  '*.c32',
  'themes',
  'fonts',
  'memtest*',
];
const ETC_EXCLUDES = [
  './selinux/*/policy',
  './selinux/*/contexts',
  './selinux/*/modules',
  './pki',
  './ssl/certs',
  './ca-certificates',
  './.git',
  './alternatives',
];
const MODULES_EXCLUDES = [
  'kernel',
  'extra',
  'updates',
  'weak-updates',
  'build',
  'source',
  'vdso',
  '*.bin',
  '*.ko',
  '*.ko.*',
  'vmlinuz',
  'modules.symbols',
  'System.map',
];
const DPKG_EXCLUDES = [
  './info',
  './alternatives',
  './updates',
  './parts',
  './triggers',
  './*-old',
  './cmethopt',
];
/** Not captured of cloud-init's record of its instance: user data, which has secrets, and what has run. */
const CLOUD_EXCLUDES = [
  './handlers',
  './scripts',
  './sem',
  './seed',
  './instances/*/handlers',
  './instances/*/scripts',
  './instances/*/sem',
  '*user-data*',
  '*vendor-data*',
  '*vendor?-data*',
  '*cloud-config*',
  '*.pkl',
  '*.json',
];
/** Directories of which the names are taken, at any depth. */
const NAME_DIRECTORIES = [
  '/usr/bin',
  '/usr/sbin',
  '/bin',
  '/sbin',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
  '/var/lib/rpm',
  '/usr/lib/sysimage/rpm',
  '/boot',
  '/efi',
];

interface Snapshot {
  tree: GuestTree;
  /** In mount order; they stay mounted. */
  mounts: Mount[];
  devices: DeviceContext;
}

/** Mounts the system below `root` and captures all of its configuration that a fixer reads. */
export async function takeSnapshot(
  reader: GuestReader,
  root: RootCandidate,
  { storage, controllers }: GuestDisks,
  warnings: Warnings,
): Promise<Snapshot> {
  await reader.mount({ ...root, mountpoint: '/' }, 'ro');
  const collector = new SnapshotCollector(reader);
  // Only the top level: it shows which of /bin, /lib and /sbin are links to somewhere else.
  await collector.capture({ directory: '/', excludes: ['./*/*'] });
  await collector.capture({ directory: '/etc', excludes: ETC_EXCLUDES });
  await followEarlyLinks(reader, collector);
  const physical = { filesystems: storage.filesystems, controllers };
  const devices = { ...physical, aliases: volumeAliases(collector.tree(), physical, storage) };
  const mounts = [
    { device: root.device, mountpoint: '/', options: root.options },
    ...(await mountSystem(reader, collector.tree(), devices, root, warnings)),
  ];
  const boot = await realDirectory(reader, collector, '/boot');
  await collector.capture({ directory: boot, excludes: BOOT_EXCLUDES });
  const efi = await realDirectory(reader, collector, '/efi');
  await collector.capture({ directory: efi, excludes: BOOT_EXCLUDES });
  for (const { mountpoint } of mounts)
    if (isEspElsewhere(mountpoint)) {
      await collector.capture({ directory: mountpoint, excludes: BOOT_EXCLUDES });
      await collector.names(mountpoint);
    }
  const lib = collector.tree().lstat('/lib')?.type === 'symlink' ? '/usr/lib' : '/lib';
  await collector.capture({ directory: `${lib}/modules`, excludes: MODULES_EXCLUDES });
  for (const directory of new Set([
    '/usr/lib/modprobe.d',
    `${lib}/modprobe.d`,
    '/usr/lib/dracut/dracut.conf.d',
  ]))
    await collector.capture({ directory, excludes: [] });
  await collector.capture({ directory: '/var/lib/dpkg', excludes: DPKG_EXCLUDES });
  for (const directory of NAME_DIRECTORIES) {
    // Through a linked top directory (/bin → usr/bin) the same names would be listed twice.
    const top = directory.slice(0, `${directory}/`.indexOf('/', 1));
    if (collector.tree().lstat(top)?.type !== 'symlink') await collector.names(directory);
  }
  if (boot !== '/boot') await collector.names(boot);
  await takeBootLinks(reader, collector, boot);
  // Debian 11 and Ubuntu 18.04 may have systemd in a separate /lib, SLES 12 in /usr/lib although it has one.
  for (const path of new Set(['/usr/lib/os-release', '/usr/lib/systemd/systemd', `${lib}/systemd/systemd`]))
    await collectFile(reader, collector, path);
  await collectFile(reader, collector, '/var/cache/debconf/config.dat', MAX_ANSWERS_BYTES);
  if (collector.tree().isDirectory('/etc/cloud')) await captureCloudInit(reader, collector);
  await followLinks(reader, collector, warnings);
  return { tree: collector.tree(), mounts, devices };
}

async function captureCloudInit(reader: GuestReader, collector: SnapshotCollector): Promise<void> {
  const library = '/var/lib/cloud';
  await collector.capture({ directory: library, excludes: CLOUD_EXCLUDES });
  await collector.names(`${library}/seed`);
  const instance = collector.tree().resolve(`${library}/instance`);
  const cache = `${instance}/obj.pkl`;
  const stat = instance === null ? null : await reader.stat(cache);
  if (stat?.type !== 'file') return;
  const { type, mode, uid, gid, size } = stat;
  collector.add({ path: cache, type, mode, uid, gid, size });
}

/** /boot and /efi are taken with all that is mounted below them, /usr and /var have lists of their own. */
const isEspElsewhere = (mountpoint: string) => !/^\/($|(boot|efi)(\/|$)|(usr|var)$)/.test(mountpoint);

const MAX_FILE_BYTES = 64 * 1024;
/** debconf's answers: 25 KB on a small server, some hundreds on a large one. */
const MAX_ANSWERS_BYTES = 4 * 1024 * 1024;

/** Adds a single file outside of the bulk directories; of an executable only its name. */
async function collectFile(
  reader: GuestReader,
  collector: SnapshotCollector,
  path: string,
  mostBytes = MAX_FILE_BYTES,
): Promise<void> {
  const stat = await reader.stat(path);
  if (stat?.type !== 'file') return;
  const { type, mode, uid, gid, size } = stat;
  const content = size <= mostBytes ? { content: await reader.read(path) } : {};
  collector.add({ path, type, mode, uid, gid, size, ...content });
}
