import type { GuestReader } from '../../access/guest-reader.js';
import { refusal } from '../../access/tolerate.js';
import { type OsRelease, parseOsRelease } from '../../guest/os-release.js';
import type { Filesystem } from '../../model/identity.js';
import type { OtherSystem } from '../base/as-is.js';

/** A larger one is not the file that is looked for. */
const MAX_TEXT_BYTES = 64 * 1024;
const UNIX_TYPES = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs']);
/** UFS does not say in its superblock which of its forms it is, and Linux asks for it. */
const UFS_FORMS = ['ufstype=ufs2', 'ufstype=44bsd'];

/** Returns the system that one of the VM's filesystems holds, by its files; null where none does. */
export async function systemOfFiles(
  reader: GuestReader,
  filesystems: readonly Filesystem[],
): Promise<OtherSystem | null> {
  for (const { device, disk, type } of filesystems) {
    const look = lookOf(type);
    const found = look === null ? null : await withMounted(reader, { device, options: '' }, look);
    if (found !== null) return { ...found, device, disk };
  }
  return null;
}

/** What tells a system by the files of a filesystem of such a type; null where nothing does. */
function lookOf(type: string): ((reader: GuestReader) => Promise<Seen | null>) | null {
  if (UNIX_TYPES.has(type)) return async (reader) => (await ostree(reader)) ?? imageBased(reader);
  if (type === 'squashfs') return squashed;
  return type === 'vfat' ? dosOrEsxi : null;
}

/** What FreeBSD's own files tell of it. */
export interface FreeBsdFacts {
  distro: string | null;
  name: string | null;
  version: string;
  /** Text of /etc/fstab. */
  fstab: string;
}

/** Reads what the root of a FreeBSD on UFS says of itself; null where no UFS can be mounted or has one. */
export async function freeBsdFacts(
  reader: GuestReader,
  filesystems: readonly Filesystem[],
): Promise<FreeBsdFacts | null> {
  for (const { device, type } of filesystems) {
    if (type !== 'ufs') continue;
    for (const form of UFS_FORMS) {
      const facts = await withMounted(reader, { device, options: form }, readFreeBsd);
      if (facts !== null) return facts;
    }
  }
  return null;
}

async function readFreeBsd(reader: GuestReader): Promise<FreeBsdFacts | null> {
  const names = await reader.list('/');
  if (!names.includes('etc') || !names.includes('bin')) return null;
  const release = await osRelease(reader, ['/etc/os-release', '/var/run/os-release']);
  // A shell script that has its version in a variable; os-release came with FreeBSD 13.
  const version = /^USERLAND_VERSION="([^"\n]{1,64})"/m.exec(await text(reader, '/bin/freebsd-version'))?.[1];
  const platform = (await text(reader, '/etc/platform')).trim();
  const isOpnsense = (await reader.stat('/usr/local/opnsense')) !== null;
  return {
    distro: isOpnsense ? 'opnsense' : platform === 'pfSense' ? 'pfsense' : null,
    name: isOpnsense ? 'OPNsense' : platform === 'pfSense' ? 'pfSense' : release.name || null,
    version: version ?? release.version,
    fstab: await text(reader, '/etc/fstab'),
  };
}

type Seen = Omit<OtherSystem, 'device' | 'disk'>;

/**
 * `ostree/deploy/<name>/deploy/<commit>.<serial>/`: Fedora CoreOS, RHEL for Edge, Endless; Silverblue has it
 * in the btrfs subvolume `root`.
 */
async function ostree(reader: GuestReader): Promise<Seen | null> {
  for (const deploy of ['/ostree/deploy', '/root/ostree/deploy']) {
    if ((await reader.stat(deploy))?.type !== 'directory') continue;
    const [stateroot = 'ostree'] = await reader.list(deploy);
    const trees = await namesIn(reader, `${deploy}/${stateroot}/deploy`);
    const root = `${deploy}/${stateroot}/deploy/${trees.find((name) => !name.endsWith('.origin'))}`;
    const release = await osRelease(reader, [`${root}/usr/lib/os-release`, `${root}/etc/os-release`]);
    return named(release, { distro: stateroot, name: 'a system on ostree' });
  }
  return null;
}

/** VyOS and others keep whole systems as squashfs images in /boot. */
async function imageBased(reader: GuestReader): Promise<Seen | null> {
  for (const name of (await namesIn(reader, '/boot')).slice(0, 100)) {
    const images = (await namesIn(reader, `/boot/${name}`)).filter((file) => file.endsWith('.squashfs'));
    if (images.length === 0) continue;
    const isVyos = /^(?:VyOS-)?1\.\d|^(?:equuleus|sagitta|circinus|rolling)/i.test(name);
    const label = isVyos ? { distro: 'vyos', name: 'VyOS' } : IMAGE_BASED;
    return { os_type: 'linux', ...label, version: isVyos ? name.slice(0, 40) : '' };
  }
  return null;
}

const IMAGE_BASED = { distro: 'linux', name: 'a Linux system in squashfs images' };

async function squashed(reader: GuestReader): Promise<Seen | null> {
  if ((await reader.stat('/etc'))?.type !== 'directory') return null;
  const release = await osRelease(reader, ['/etc/os-release', '/usr/lib/os-release']);
  return named(release, { distro: 'linux', name: 'a Linux system in a squashfs' });
}

async function dosOrEsxi(reader: GuestReader): Promise<Seen | null> {
  const names = (await reader.list('/')).map((name) => name.toLowerCase());
  const has = (name: string) => names.includes(name);
  if (names.some((name) => /^boot\.cfg$/.test(name)) && names.some((name) => /\.(?:b00|v00)$/.test(name)))
    return { os_type: 'esxi', distro: 'esxi', name: 'VMware ESXi', version: '' };
  if (has('kernel.sys') && (has('command.com') || has('fdauto.bat') || has('freedos')))
    return { os_type: 'dos', distro: 'freedos', name: 'FreeDOS', version: '' };
  const isDos = has('command.com') && (has('io.sys') || has('ibmbio.com') || has('msdos.sys'));
  return isDos ? { os_type: 'dos', distro: 'msdos', name: 'DOS or Windows 9x', version: '' } : null;
}

function named({ id, version, name }: OsRelease, otherwise: { distro: string; name: string }): Seen {
  return {
    os_type: 'linux',
    distro: id || otherwise.distro,
    name: name || otherwise.name,
    version,
  };
}

async function osRelease(reader: GuestReader, paths: readonly string[]): Promise<OsRelease> {
  for (const path of paths) {
    const found = parseOsRelease(await text(reader, path));
    if (found.id !== '') return found;
  }
  return parseOsRelease('');
}

/** Empty where it is no small file. */
async function text(reader: GuestReader, path: string): Promise<string> {
  const stat = await reader.stat(path);
  if (stat?.type !== 'file' || stat.size > MAX_TEXT_BYTES) return '';
  return (await reader.read(path)).toString('utf8');
}

async function namesIn(reader: GuestReader, directory: string): Promise<string[]> {
  return (await reader.stat(directory))?.type === 'directory' ? reader.list(directory) : [];
}

/** `look` at the filesystem's files; null where it cannot be mounted or read. */
async function withMounted<Result>(
  reader: GuestReader,
  place: { device: string; options: string },
  look: (reader: GuestReader) => Promise<Result | null>,
): Promise<Result | null> {
  try {
    await reader.mount({ ...place, mountpoint: '/' }, 'ro');
    return await look(reader);
  } catch (error) {
    // Whether a system is there is then not known by its files.
    refusal(error);
    return null;
  } finally {
    await reader.unmountAll();
  }
}
