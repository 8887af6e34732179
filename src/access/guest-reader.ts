import { constants } from 'node:os';
import { Hyper2kvmError } from '../errors/error.js';
import type { TreeEntry } from '../guest/tree.js';
import type { Mount } from '../model/identity.js';
import type { BlockDevices } from './block-devices.js';

export interface GuestStat {
  /** `other`: a device, a socket, a named pipe. */
  type: 'file' | 'directory' | 'symlink' | 'other';
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Two paths with the same device and inode are one file. */
  device: number;
  inode: number;
}

/** What `capture` brings of a directory. */
export interface Capture {
  /** Not a link: entries are named by this path. */
  directory: string;
  /** Patterns as GNU tar's `--exclude` takes them, matched against `./name` and what is below it. */
  excludes: readonly string[];
  /** Whether the content of a file is wanted; without it the entry has the name and the size alone. */
  isKept(path: string, size: number): boolean;
}

export interface Subvolume {
  id: number;
  /** From the top of the btrfs filesystem, without a slash in front. */
  path: string;
}

/**
 * A guest's files and disks, for reading. INSPECT speaks to this alone: an appliance that has the disks of a
 * VM that is off is one implementation, commands on a running host are another.
 *
 * Paths are absolute in the guest, and links in them are followed as the guest itself does it: from the
 * guest's root, and never out of it. Calls are slow (0.2 s in an appliance without KVM, whatever they bring),
 * so there are few and large ones. A call rejects with a Hyper2kvmError: `guest.call-failed` where the
 * guest's filesystem refuses it, and what says that the place itself is lost or does not answer
 * (`guest.died`, `guest.timeout`).
 */
export interface GuestReader {
  readonly devices: BlockDevices;
  /** Null where nothing is: also for a link to nowhere or in a circle. */
  stat(path: string): Promise<GuestStat | null>;
  /** As `stat`, of a link itself where the path ends with one. */
  lstat(path: string): Promise<GuestStat | null>;
  /** Where a link leads, as it is written. */
  readLink(path: string): Promise<string>;
  read(path: string): Promise<Buffer>;
  /** Fewer bytes where the file ends before. */
  readAt(path: string, offset: number, length: number): Promise<Buffer>;
  /** Copies a file that may be large to `file` of the host. */
  download(path: string, file: string): Promise<void>;
  /** Names in a directory. */
  list(directory: string): Promise<string[]>;
  /**
   * Paths of everything below a directory, relative to it; null where that is none. Rejects with
   * `inspect.configuration-too-large` for more than `mostBytes` of them.
   */
  names(directory: string, mostBytes: number): Promise<string[] | null>;
  /**
   * A directory with all that is below it, links not followed; nothing where it is no directory. Owners are
   * numbers.
   */
  capture(capture: Capture): AsyncIterable<TreeEntry>;
  /**
   * Mounts a filesystem of `devices`. `mountpoint` is not a link. A running guest has mounted its own: there
   * this is fulfilled where exactly this is mounted in that place, and refused else.
   */
  mount(mount: Mount, mode: 'ro' | 'rw'): Promise<void>;
  /** Unmounts all that `mount` has mounted; nothing in a running guest. */
  unmountAll(): Promise<void>;
  /** Subvolumes of the btrfs filesystem at `/`. */
  subvolumes(): Promise<Subvolume[]>;
}

/** Rejects where nothing is at `path`. */
export async function sizeOf(reader: Pick<GuestReader, 'stat'>, path: string): Promise<number> {
  const stat = await reader.stat(path);
  if (stat !== null) return stat.size;
  throw new Hyper2kvmError('guest.call-failed', `${path} is not there`, { errno: constants.errno.ENOENT });
}

/** True for a plain file, or a link to one. */
export async function isFile(reader: Pick<GuestReader, 'stat'>, path: string): Promise<boolean> {
  return (await reader.stat(path))?.type === 'file';
}
