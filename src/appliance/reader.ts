import { createReadStream } from 'node:fs';
import { open, readFile, rm, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Capture, GuestReader, GuestStat } from '../access/guest-reader.js';
import { configurationTooLarge } from '../access/snapshot-collector.js';
import { tarEntries } from '../access/tar-entries.js';
import { refusal } from '../access/tolerate.js';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../guest/cpio.js';
import type { TreeEntry } from '../guest/tree.js';
import { applianceDevices } from './devices.js';
import { hasErrno } from './errors.js';
import type { GuestfsResult } from './functions.js';
import { mountError } from './mount-error.js';
import type { ApplianceSession } from './session.js';

/** libguestfs's protocol carries at most 4 MiB in one message; larger contents are transferred by file. */
export const MAX_MESSAGE_BYTES = 2 * 1024 * 1024;
/** A read that fails in the middle of a file returns what comes before, up to the end of a page. */
const PAGE_BYTES = 4096;
/** Directories that are listed one by one, and the size of one, which grows with its names. */
const MAX_LISTED = 50;
const MAX_DIRECTORY_BYTES = 1024 ** 2;

/**
 * Reads the guest's filesystems as they are mounted in the appliance. libguestfs calls that open a file
 * themselves follow its links inside the guest. Those that pass its path to a program (mount, tar, find, cp)
 * would follow absolute links in the appliance, so their last component must not be a link.
 */
export function applianceReader(session: Pick<ApplianceSession, 'call'>, workDirectory: string): GuestReader {
  let files = 0;

  /** Runs `work` with the path of a scratch file, which is removed afterwards. */
  async function withScratch<Result>(work: (file: string) => Promise<Result>): Promise<Result> {
    const file = scratchFile();
    try {
      return await work(file);
    } finally {
      await rm(file, { force: true });
    }
  }

  const scratchFile = () => join(workDirectory, `guest-${files++}.part`);

  async function isDirectory(path: string): Promise<boolean> {
    return (await orAbsent(session.call('lstatns', path)))?.type === 'directory';
  }

  /**
   * Returns everything below a directory if that is a few directories, otherwise null: listing one takes 2 ms,
   * and starting find 0.1 s.
   */
  async function fewNames(
    directory: string,
    most: { paths: number; bytes: number },
  ): Promise<string[] | null> {
    const names: string[] = [];
    const directories = [''];
    let bytes = 0;
    try {
      for (const [index, parent] of directories.entries()) {
        if (index === MAX_LISTED) return null;
        const path = `${directory}/${parent}`;
        // libguestfs has all of its names in memory before it returns the first.
        if ((await session.call('lstatns', path)).size > MAX_DIRECTORY_BYTES) return null;
        const entries = await session.call('readdir', path);
        for (const { type, name } of entries) {
          if (name === '.' || name === '..') continue;
          // Not every filesystem tells what an entry is.
          if (type === 'u') return null;
          bytes += parent.length + name.length;
          names.push(`${parent}${name}`);
          if (bytes > most.bytes || names.length > most.paths) throw configurationTooLarge();
          if (type === 'd') directories.push(`${parent}${name}/`);
        }
      }
      return names;
    } catch (error) {
      // A name that is not UTF-8 does not lead back to its directory.
      refusal(error);
      return null;
    }
  }

  /** By messages: they are three times as fast as libguestfs's own transfer of a file, without KVM. */
  async function download(path: string, file: string): Promise<void> {
    const output = await open(file, 'w', 0o600);
    try {
      for (let done = 0, isEnd = false; !isEnd; ) {
        const part = await session.call('pread', path, MAX_MESSAGE_BYTES, done);
        await output.appendFile(part);
        done += part.length;
        isEnd = endsFile(part);
      }
    } finally {
      await output.close();
    }
  }

  return {
    devices: applianceDevices(session),
    stat: (path) => orAbsent(session.call('statns', path)),
    lstat: (path) => orAbsent(session.call('lstatns', path)),
    readLink: (path) => session.call('readlink', path),
    async read(path) {
      const head = await session.call('pread', path, MAX_MESSAGE_BYTES, 0);
      if (endsFile(head)) return head;
      return withScratch(async (file) => {
        await download(path, file);
        return readFile(file);
      });
    },
    async readAt(path, offset, length) {
      const parts: Buffer[] = [];
      for (let done = 0; done < length; ) {
        const most = Math.min(MAX_MESSAGE_BYTES, length - done);
        const part = await session.call('pread', path, most, offset + done);
        if (part.length === 0) break;
        parts.push(part);
        done += part.length;
      }
      return Buffer.concat(parts);
    },
    download,
    list: (directory) => session.call('ls', directory),
    async names(directory, most) {
      if (!(await isDirectory(directory))) return null;
      const few = await fewNames(directory, most);
      if (few !== null) return few;
      return withScratch(async (file) => {
        await session.call('find0', directory, file);
        if ((await stat(file)).size > most.bytes) throw configurationTooLarge();
        // Each ends with a zero byte, so that what follows the last one is empty.
        const names = (await readFile(file, 'utf8')).split('\0', most.paths + 1);
        if (names.at(-1) === '') names.pop();
        if (names.length > most.paths) throw configurationTooLarge();
        return names;
      });
    },
    async *capture({ directory, excludes, isKept }: Capture): AsyncGenerator<TreeEntry> {
      if (!(await isDirectory(directory))) return;
      const file = scratchFile();
      try {
        await session.call('tar_out_opts', directory, file, { numericowner: true, excludes: [...excludes] });
        yield* tarEntries(createReadStream(file), { directory, isKept });
      } finally {
        await rm(file, { force: true });
      }
    },
    async mount({ device, mountpoint, options }, mode) {
      // Reading changes nothing.
      const own = mode === 'rw' ? 'rw,noatime' : mode;
      const all = options === '' ? own : `${own},${options}`;
      try {
        await session.call('mount_options', all, device, mountpoint);
      } catch (error) {
        throw await mountError(session, error);
      }
    },
    unmountAll: () => session.call('umount_all'),
    async free(mountpoint) {
      const { bsize, bfree } = await session.call('statvfs', mountpoint);
      return bsize * bfree;
    },
    subvolumes: () => session.call('btrfs_subvolume_list', '/'),
  };
}

/** Returns whether nothing of the file can follow: otherwise the next call returns it, or the error. */
const endsFile = ({ length }: Buffer): boolean => length % PAGE_BYTES !== 0 || length === 0;

const { ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR } = constants.errno;
const ABSENT = [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG];

async function orAbsent(call: Promise<GuestfsResult<'statns'>>): Promise<GuestStat | null> {
  try {
    const { mode, uid, gid, size, device, inode } = await call;
    return { type: typeOf(mode), mode: mode & 0o7777, uid, gid, size, device, inode };
  } catch (error) {
    if (ABSENT.some((errno) => hasErrno(error, errno))) return null;
    throw error;
  }
}

function typeOf(mode: number): GuestStat['type'] {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'symlink';
    default:
      return 'other';
  }
}
