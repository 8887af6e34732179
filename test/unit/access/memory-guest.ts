import { writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import type { BlockDevices } from '../../../src/access/block-devices.js';
import type { Capture, GuestReader, GuestStat, Subvolume } from '../../../src/access/guest-reader.js';
import { guestPath } from '../../../src/access/tar-entries.js';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { GuestTree, type TreeEntry } from '../../../src/guest/tree.js';
import type { Mount } from '../../../src/model/identity.js';
import { treeOf } from '../families/guests.js';

/**
 * As `Files` of ../families/guests.ts, with bytes for what is no text. The same bytes under two paths are one
 * file.
 */
export type MemoryFiles = Record<string, string | Buffer | null>;

export interface MemoryDisks {
  /** By device, on btrfs by device and options too: `/dev/sda1`, `/dev/sda1,subvol=@`. */
  filesystems?: Record<string, MemoryFiles>;
  /** Free bytes of each filesystem; a GiB where absent. */
  free?: number;
  /** Of the btrfs filesystem, whichever it is. */
  subvolumes?: readonly Subvolume[];
  devices?: Partial<BlockDevices>;
  /** Throws what a call is to be refused with. */
  refuse?(call: string, path: string, device?: string, options?: string): void;
}

export interface MemoryGuest {
  reader: GuestReader;
  /** All calls so far: the method's name and its path, for `mount` also the device and the options. */
  calls: string[];
}

export function refused(call: string, errno: keyof typeof constants.errno): Hyper2kvmError {
  return new Hyper2kvmError('guest.call-failed', `${call}: ${errno}`, { errno: constants.errno[errno] });
}

/** A guest whose tree is `files`, mounted already. */
export async function guestOfFiles(files: MemoryFiles, refuse?: MemoryDisks['refuse']): Promise<MemoryGuest> {
  const guest = memoryGuest({ filesystems: { '/dev/sda1': files }, ...(refuse ? { refuse } : {}) });
  await guest.reader.mount({ device: '/dev/sda1', mountpoint: '/', options: '' }, 'ro');
  guest.calls.length = 0;
  return guest;
}

/** A `GuestReader` that has all in memory. Nothing of it is libguestfs. */
export function memoryGuest({
  filesystems = {},
  free = 1 << 30,
  subvolumes = [],
  devices,
  refuse,
}: MemoryDisks): MemoryGuest {
  const calls: string[] = [];
  const inodes = new Map<unknown, number>();
  let tree = new GuestTree([]);

  function note(call: string, path: string, ...more: readonly string[]): void {
    calls.push([call, path, ...more].join(' '));
    refuse?.(call, path, ...more);
  }

  function statOf(entry: TreeEntry | null, path: string): GuestStat | null {
    const directory = { type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0 } as const;
    const found = tree.resolve(path) === '/' ? directory : entry;
    if (found === null) return null;
    const { type, mode, uid, gid, size } = found;
    const key = entry?.content ?? entry?.path;
    const inode = inodes.get(key) ?? inodes.size + 1;
    inodes.set(key, inode);
    return { type, mode, uid, gid, size, device: 1, inode };
  }

  function content(call: string, path: string): Buffer {
    const entry = tree.get(path);
    if (entry === null) throw refused(call, 'ENOENT');
    if (entry.type !== 'file') throw refused(call, 'EISDIR');
    return entry.content ?? Buffer.alloc(0);
  }

  const below = (directory: string): TreeEntry[] => {
    const prefix = directory === '/' ? '/' : `${directory}/`;
    return tree.entries().filter(({ path }) => path.startsWith(prefix) && path !== '/');
  };
  const isDirectory = (path: string) => statOf(tree.lstat(path), path)?.type === 'directory';

  const reader: GuestReader = {
    devices: { ...NO_DEVICES, ...devices },
    async stat(path) {
      note('stat', path);
      return statOf(tree.get(path), path);
    },
    async lstat(path) {
      note('lstat', path);
      return statOf(tree.lstat(path), path);
    },
    async readLink(path) {
      note('readLink', path);
      const target = tree.lstat(path)?.target;
      if (target === undefined) throw refused('readLink', 'EINVAL');
      return target;
    },
    async read(path) {
      note('read', path);
      return content('read', path);
    },
    async readAt(path, offset, length) {
      note('readAt', path);
      return content('readAt', path).subarray(offset, offset + length);
    },
    async download(path, file) {
      note('download', path);
      await writeFile(file, content('download', path));
    },
    async list(directory) {
      note('list', directory);
      return tree.list(directory);
    },
    async names(directory) {
      note('names', directory);
      const prefix = directory === '/' ? 1 : directory.length + 1;
      return isDirectory(directory) ? below(directory).map(({ path }) => path.slice(prefix)) : null;
    },
    async *capture({ directory, excludes, isKept }: Capture) {
      note('capture', directory);
      if (!isDirectory(directory)) return;
      const prefix = directory === '/' ? 0 : directory.length;
      for (const entry of below(directory)) {
        const name = `.${entry.path.slice(prefix)}`;
        if (excludes.some((pattern) => isExcluded(name, pattern))) continue;
        const { content: bytes, ...own } = entry;
        const isWanted = entry.type === 'file' && bytes !== undefined && isKept(entry.path, entry.size);
        yield isWanted ? { ...own, content: bytes } : own;
      }
    },
    async mount({ device, mountpoint, options }: Mount, mode) {
      note('mount', mountpoint, device, options === '' ? mode : `${mode},${options}`);
      const selected = options.replace('subvol=/', 'subvol=');
      const files = filesystems[selected === '' ? device : `${device},${selected}`];
      if (files === undefined) throw refused('mount', 'ENXIO');
      if (mountpoint !== '/' && !isDirectory(mountpoint)) throw refused('mount', 'ENOENT');
      tree = mounted(tree, mountpoint, treeOfBytes(files));
    },
    async unmountAll() {
      note('unmountAll', '/');
      tree = new GuestTree([]);
    },
    async free(mountpoint) {
      note('free', mountpoint);
      return free;
    },
    async subvolumes() {
      note('subvolumes', '/');
      return [...subvolumes];
    },
  };
  return { reader, calls };
}

const NO_DEVICES: BlockDevices = {
  disks: async () => [],
  partitions: async () => [],
  arrays: async () => [],
  volumes: async () => [],
  volumeRecords: async () => [],
  activateVolumes: async () => undefined,
  probe: async () => ({}),
  links: async () => [],
  array: async () => ({ uuid: '', name: '' }),
  size: async (device) => {
    throw refused(`size ${device}`, 'ENXIO');
  },
  openLuks: async (device) => {
    throw refused(`openLuks ${device}`, 'EPERM');
  },
  dropNtfsJournal: async (device) => {
    throw refused(`dropNtfsJournal ${device}`, 'EIO');
  },
};

function treeOfBytes(files: MemoryFiles): GuestTree {
  const texts = Object.entries(files).map(([path, content]) => [
    path,
    Buffer.isBuffer(content) ? null : content,
  ]);
  return new GuestTree(
    treeOf(Object.fromEntries(texts))
      .entries()
      .map((entry) => {
        const bytes = files[entry.path];
        return Buffer.isBuffer(bytes) ? { ...entry, content: bytes, size: bytes.length } : entry;
      }),
  );
}

/** What is below the mount point is hidden. */
function mounted(tree: GuestTree, mountpoint: string, filesystem: GuestTree): GuestTree {
  const visible = tree
    .entries()
    .filter(({ path }) => !`${path}/`.startsWith(`${mountpoint}/`.replace('//', '/')));
  const own = filesystem.entries().map((entry) => ({ ...entry, path: guestPath(mountpoint, entry.path) }));
  const top = { path: mountpoint, type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0 } as const;
  return new GuestTree(mountpoint === '/' ? own : [...visible, top, ...own]);
}

/**
 * GNU tar's rule for `--exclude`: from the start of any component to the end of any, and `*` matches slashes
 * too.
 */
function isExcluded(name: string, pattern: string): boolean {
  const glob = new RegExp(
    `^${pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  );
  const parts = name.split('/');
  return parts.some((_, start) =>
    parts.slice(start).some((_part, length) => glob.test(parts.slice(start, start + length + 1).join('/'))),
  );
}
