import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import { nextData } from '../files/holes.js';
import type { FileBytes } from '../model/storage.js';
import { printable } from '../text/escape-terminal.js';
import { sliceSource } from './base/bytes.js';
import type { ByteSource } from './base/format.js';

export interface OpenFile {
  source: ByteSource;
  links: number;
}

/**
 * Opens a regular file for reading, without following a link in its last component and without waiting for a
 * FIFO's writer. Rejects with `fetch.refused-special` for anything that is not a regular file. The handle is
 * closed when `use` is done. Once `signal` is aborted, reads reject with its reason.
 */
export async function withFile<Result>(
  path: string,
  use: (file: OpenFile) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const handle = await openRegular(path);
  try {
    const status = await handle.stat();
    if (!status.isFile()) throw refusedSpecial(path, 'is not a regular file');
    return await use({ source: fileSource(handle, status.size, signal), links: status.nlink });
  } finally {
    await handle.close();
  }
}

/** The absolute directories that the paths of a disk's files are relative to. */
export type Places = Readonly<Record<FileBytes['place'], string>>;

/** Returns the absolute path of the file that holds the bytes. */
export function pathOf({ place, path }: FileBytes, places: Places): string {
  return join(places[place], path);
}

/** Opens a file, or the part of the archive that it is. */
export async function withBytes<Result>(
  bytes: FileBytes,
  places: Places,
  use: (source: ByteSource) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const { region } = bytes;
  return withFile(
    pathOf(bytes, places),
    ({ source }) => use(region === undefined ? source : sliceSource(source, region.offset, region.size)),
    signal,
  );
}

async function openRegular(path: string): Promise<FileHandle> {
  try {
    return await open(
      path,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
  } catch (error) {
    if (isErrorCode(error, 'ELOOP')) throw refusedSpecial(path, 'is a symbolic link');
    if (isErrorCode(error, 'ENXIO', 'ENODEV')) throw refusedSpecial(path, 'is a socket or a device');
    throw error;
  }
}

function fileSource(handle: FileHandle, size: number, signal?: AbortSignal): ByteSource {
  return {
    size,
    nextData: async (offset) => nextData(handle, offset, size),
    read: async (offset, length) => {
      signal?.throwIfAborted();
      const wanted = Math.max(0, Math.min(length, size - offset));
      const buffer = Buffer.alloc(wanted);
      let filled = 0;
      while (filled < wanted) {
        const { bytesRead } = await handle.read(buffer, filled, wanted - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return buffer.subarray(0, filled);
    },
  };
}

/**
 * Refuses further hard links: in the spool they would disclose files that only the service's user may read.
 */
export function refuseHardLinks(path: string, stats: Stats): void {
  if (stats.isFile() && stats.nlink > 1)
    throw refusedSpecial(path, `has ${stats.nlink - 1} more hard link(s)`);
}

export function refusedSpecial(path: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.refused-special', `${printable(path)} ${why}`);
}
