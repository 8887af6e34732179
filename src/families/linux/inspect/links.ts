import type { GuestReader } from '../../../access/guest-reader.js';
import type { SnapshotCollector } from '../../../access/snapshot-collector.js';
import { refusal, type Warnings } from '../../../access/tolerate.js';
import type { GuestTree } from '../../../guest/tree.js';

/** A larger file is not configuration. */
const MAX_BYTES = 1024 * 1024;
const MAX_HOPS = 40;
/** Each step of a link costs a call, which takes 0.2 s without KVM. */
const MAX_STEPS = 400;
/** Limit on the files taken from a directory that a link leads to. */
const MAX_NAMES = 64;
/** More of them would add nothing. */
const MAX_WARNINGS = 20;

/** Files that INSPECT needs before it mounts the rest of the system. */
const EARLY = ['/etc/fstab', '/etc/crypttab', '/etc/mdadm.conf', '/etc/mdadm/mdadm.conf'];

/**
 * Files in /etc that a fixer may change, and directories of such files: a dangling link in their place would
 * go unnoticed.
 */
const CHANGEABLE = new RegExp(
  `^/etc/(${[
    'fstab|crypttab|inittab|crontab|modules|mdadm(/mdadm)?\\.conf|kernel/cmdline|update-extlinux\\.conf',
    'e?lilo\\.conf|grub\\.d(/[^/]+)?|default(/grub(\\.d(/[^/]+\\.cfg)?)?)?|lvm(/lvm(local)?\\.conf)?|cron\\.d(/[^/]+)?',
    'initramfs-tools(/modules|/conf\\.d(/resume)?)?|dracut\\.conf(\\.d(/[^/]+\\.conf)?)?',
    'mkinitcpio\\.conf(\\.d(/[^/]+\\.conf)?)?|mkinitfs(/mkinitfs\\.conf)?|booster\\.yaml|modprobe(\\.conf(\\.local)?|\\.d(/[^/]+)?)|modules-load\\.d(/[^/]+\\.conf)?',
    'sysconfig(/kernel|/network(-scripts)?(/ifcfg-[^/]+)?)?|network(/interfaces(\\.d(/[^/]+)?)?)?',
    'netplan(/[^/]+\\.ya?ml)?|NetworkManager(/system-connections(/[^/]+)?)?|wicked(/ifconfig(/[^/]+)?)?',
    'systemd(/network(/[^/]+)?)?|udev(/rules\\.d(/[^/]+\\.rules)?)?|X11(/xorg\\.conf(\\.d(/[^/]+\\.conf)?)?)?',
    'yum\\.repos\\.d(/[^/]+\\.repo)?|zypp(/repos\\.d(/[^/]+\\.repo)?)?|apt(/sources\\.list(\\.d)?)?',
  ].join('|')})$`,
);
const BOOT = /^\/(boot|efi)(\/|$)/;
/** The target of a link that masks a file of systemd, udev and the like. */
const NOTHING = '/dev/null';

interface Walk {
  reader: GuestReader;
  collector: SnapshotCollector;
  steps: number;
}

/** Adds the targets of fstab and similar links to the snapshot, which holds only /etc so far. */
export async function followEarlyLinks(reader: GuestReader, collector: SnapshotCollector): Promise<void> {
  const walk = { reader, collector, steps: 0 };
  for (const path of EARLY) if (isUnread(collector.tree(), path)) await follow(walk, path);
}

/** Returns the real path of the directory at `path` in the guest; `path` itself if it is not one. */
export async function realDirectory(
  reader: GuestReader,
  collector: SnapshotCollector,
  path: string,
): Promise<string> {
  if (collector.tree().lstat(path)?.type !== 'symlink') return path;
  await follow({ reader, collector, steps: 0 }, path);
  return collector.tree().resolve(path) ?? path;
}

/**
 * Adds to the snapshot what links of changeable files and of /boot lead to, inside the guest and on mounted
 * filesystems only. Warns about a file that a fixer would change and that cannot be reached.
 */
export async function followLinks(
  reader: GuestReader,
  collector: SnapshotCollector,
  warnings: Warnings,
): Promise<void> {
  const walk = { reader, collector, steps: 0 };
  const before = collector.tree();
  const open = before.entries().filter(({ path, type }) => {
    if (type !== 'symlink') return false;
    return BOOT.test(path) ? before.get(path) === null : CHANGEABLE.test(path) && isUnread(before, path);
  });
  for (const { path } of open) await follow(walk, path);
  const tree = collector.tree();
  const left = tree
    .entries()
    .filter(({ path, type }) => type !== 'directory' && CHANGEABLE.test(path) && isUnread(tree, path));
  for (const { path, type, target = '', size } of left.slice(0, MAX_WARNINGS))
    warnings.push(unread(path, type === 'symlink' ? `it is a link to ${target}` : `it has ${size} bytes`));
}

/**
 * True for a file whose text is not in the snapshot, and for a link to such a file or to nothing known. A
 * mask does not count.
 */
function isUnread(tree: GuestTree, path: string): boolean {
  const entry = tree.lstat(path);
  if (entry === null || entry.target === NOTHING) return false;
  const found = tree.get(path);
  return found === null || (found.type === 'file' && found.content === undefined);
}

function unread(path: string, why: string) {
  const message = `${path} was not read and will not be changed: ${why}`;
  return { fixer: 'inspect', code: 'inspect.unread', message };
}

/**
 * Resolves a path as the kernel does, from the guest's root. Components that the snapshot lacks are read from
 * the guest one by one.
 */
async function follow(walk: Walk, path: string): Promise<void> {
  let parts = path.split('/').filter((part) => part !== '');
  let done: string[] = [];
  for (let hops = 0; parts.length > 0; ) {
    const [part, ...rest] = parts as [string, ...string[]];
    parts = rest;
    if (part === '.') continue;
    if (part === '..') {
      done = done.slice(0, -1);
      continue;
    }
    const here = `/${[...done, part].join('/')}`;
    const target = await targetOf(walk, here, parts.length === 0);
    if (target === undefined) return;
    if (target === null) {
      done.push(part);
      continue;
    }
    if (++hops > MAX_HOPS) return;
    if (target.startsWith('/')) done = [];
    parts = [...target.split('/').filter((other) => other !== ''), ...parts];
  }
  const real = `/${done.join('/')}`;
  if (done.length > 1 && walk.collector.entry(real)?.type === 'directory') await takeDirectory(walk, real);
}

/**
 * Returns the target of the link at `here`; null if it is not a link, undefined if nothing is there. What is
 * found goes into the snapshot.
 */
async function targetOf(walk: Walk, here: string, isLast: boolean): Promise<string | null | undefined> {
  const known = walk.collector.entry(here);
  if (known?.type === 'symlink') return known.target ?? undefined;
  if (known !== undefined && (!isLast || known.type === 'directory' || known.content !== undefined))
    return null;
  return take(walk, here);
}

/** Like `targetOf`, for what is not in the snapshot. */
async function take(walk: Walk, path: string): Promise<string | null | undefined> {
  const { reader, collector } = walk;
  if (++walk.steps > MAX_STEPS) return undefined;
  try {
    const stat = await reader.lstat(path);
    if (stat === null || stat.type === 'other') return undefined;
    const { type, mode, uid, gid, size } = stat;
    const own = { path, type, mode, uid, gid, size };
    if (type === 'symlink') {
      const target = await reader.readLink(path);
      collector.add({ ...own, target });
      return target;
    }
    const isRead = type === 'file' && size <= MAX_BYTES;
    collector.add({ ...own, ...(isRead ? { content: await reader.read(path) } : {}) });
    return null;
  } catch (error) {
    refusal(error);
    return undefined;
  }
}

/** Takes the files of a directory; what is deeper is not configuration. */
async function takeDirectory(walk: Walk, directory: string): Promise<void> {
  const names = await walk.reader.list(directory);
  for (const name of names.slice(0, MAX_NAMES)) await take(walk, `${directory}/${name}`);
}

/** Kernels and initramfs files, of which the snapshot has the names alone. */
const BOOT_IMAGE = /^(vmlinu|bzImage|zImage|kernel|Image|linux|init)/i;
/** Each costs a call. */
const MAX_BOOT_LINKS = 400;

/**
 * Puts the links among the names in `boot` into the snapshot: a kernel and its initramfs often have a second name
 * (`vmlinuz`, `initrd.img`), which is no second file.
 */
export async function takeBootLinks(
  reader: GuestReader,
  collector: SnapshotCollector,
  boot: string,
): Promise<void> {
  const tree = collector.tree();
  const names = tree.list(boot).filter((name) => BOOT_IMAGE.test(name));
  for (const name of names.slice(0, MAX_BOOT_LINKS)) {
    const entry = tree.lstat(`${boot}/${name}`);
    if (entry?.type === 'file' && entry.content === undefined) await takeLink(reader, collector, entry.path);
  }
}

async function takeLink(reader: GuestReader, collector: SnapshotCollector, path: string): Promise<void> {
  try {
    const stat = await reader.lstat(path);
    if (stat?.type !== 'symlink') return;
    const { type, mode, uid, gid, size } = stat;
    collector.add({ path, type, mode, uid, gid, size, target: await reader.readLink(path) });
  } catch (error) {
    refusal(error);
  }
}
