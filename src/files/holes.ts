import type { FileHandle } from 'node:fs/promises';
import koffi from 'koffi';

/** lseek(2), linux/fs.h. */
const SEEK_DATA = 3;
/** errno if there is no data up to the end of the file. */
const ENXIO = 6;

type Seek = (descriptor: number, offset: number, whence: number) => number;
let seek: Seek | undefined;

/**
 * Returns the first offset from `offset` on that is not in a hole of the file; `size` if the rest is a hole.
 * On filesystems that keep no holes, or do not report them, there are none.
 */
export function nextData({ fd }: Pick<FileHandle, 'fd'>, offset: number, size: number): number {
  if (offset >= size) return size;
  seek ??= koffi.load('libc.so.6').func('int64_t lseek(int fd, int64_t offset, int whence)') as Seek;
  const found = Number(seek(fd, offset, SEEK_DATA));
  if (found >= 0) return Math.min(found, size);
  return koffi.errno() === ENXIO ? size : offset;
}
