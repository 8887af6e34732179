import { constants } from 'node:os';
import { Hyper2kvmError } from '../errors/error.js';
import type { TreeEntry } from '../guest/tree.js';
import type { Mount } from '../model/identity.js';
import type { BlockDevices } from './block-devices.js';

export interface GuestStat {
  /** `other`: a device, a socket or a named pipe. */
  type: 'file' | 'directory' | 'symlink' | 'other';
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Two paths with the same device and inode are the same file. */
  device: number;
  inode: number;
}

/** What `capture` reads from a directory. */
export interface Capture {
  /** Not a link: entries are named by this path. */
  directory: string;
  /** Patterns as in GNU tar's `--exclude`, matched against `./name` and everything below it. */
  excludes: readonly string[];
  /** Whether to keep the content of a file; otherwise the entry has only its name and size. */
  isKept(path: string, size: number): boolean;
}

export interface Subvolume {
  id: number;
  /** From the top of the btrfs filesystem, without a leading slash. */
  path: string;
}

/**
 * Reads a guest's files and disks. INSPECT uses nothing else: one implementation is an appliance with the
 * disks of a VM that is off; commands on a running host could be another.
 *
 * Paths are absolute in the guest. Links in them are followed as the guest itself does: from the guest's
 * root, and never out of it. Calls are slow (0.2 s in an appliance without KVM, whatever they return), so
 * there should be few large ones. A call rejects with a Hyper2kvmError: `guest.call-failed` if the guest's
 * filesystem refuses it, and `guest.died` or `guest.timeout` if the access itself is lost or does not answer.
 */
export interface GuestReader {
  readonly devices: BlockDevices;
  /** Returns null if nothing is there, also for a dangling link or a loop. */
  stat(path: string): Promise<GuestStat | null>;
  /** Like `stat`, but for a link itself if the path ends with one. */
  lstat(path: string): Promise<GuestStat | null>;
  /** Returns the target of a link, as written. */
  readLink(path: string): Promise<string>;
  read(path: string): Promise<Buffer>;
  /** Returns fewer bytes at the end of the file. */
  readAt(path: string, offset: number, length: number): Promise<Buffer>;
  /** Copies a file, which may be large, to `file` on the host. */
  download(path: string, file: string): Promise<void>;
  /** Returns the names in a directory. */
  list(directory: string): Promise<string[]>;
  /**
   * Returns the paths of everything below a directory, relative to it; null if it is not a directory. Rejects
   * with `inspect.configuration-too-large` if there are more than `most.paths` of them, or more than `most.bytes` in
   * them.
   */
  names(directory: string, most: { paths: number; bytes: number }): Promise<string[] | null>;
  /**
   * Yields a directory with everything below it, without following links; nothing if it is not a directory.
   * Owners are numbers.
   */
  capture(capture: Capture): AsyncIterable<TreeEntry>;
  /**
   * Mounts a filesystem of `devices`. `mountpoint` is not a link. A running guest has mounted its own
   * filesystems: there this succeeds if exactly this one is mounted there, and is refused otherwise.
   */
  mount(mount: Mount, mode: 'ro' | 'rw'): Promise<void>;
  /** Unmounts everything that `mount` mounted; does nothing in a running guest. */
  unmountAll(): Promise<void>;
  /** Returns the free bytes of the filesystem that is mounted there. */
  free(mountpoint: string): Promise<number>;
  /** Returns the subvolumes of the btrfs filesystem at `/`. */
  subvolumes(): Promise<Subvolume[]>;
}

/** Rejects if nothing is at `path`. */
export async function sizeOf(reader: Pick<GuestReader, 'stat'>, path: string): Promise<number> {
  const stat = await reader.stat(path);
  if (stat !== null) return stat.size;
  throw new Hyper2kvmError('guest.call-failed', `${path} does not exist`, { errno: constants.errno.ENOENT });
}

/** True for a regular file, or a link to one. */
export async function isFile(reader: Pick<GuestReader, 'stat'>, path: string): Promise<boolean> {
  return (await reader.stat(path))?.type === 'file';
}
