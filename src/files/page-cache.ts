import type { FileHandle } from 'node:fs/promises';
import koffi from 'koffi';

/** posix_fadvise(2), linux/fadvise.h. */
const DONTNEED = 4;

type Advise = (descriptor: number, offset: number, length: number, advice: number) => number;
let advise: Advise | undefined;

/**
 * Lets the kernel forget its copy of the file's bytes before `end`. Pages that are not yet written to the disk
 * stay.
 */
export function forgetPages({ fd }: FileHandle, start: number, end: number): void {
  advise ??= koffi
    .load('libc.so.6')
    .func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)') as Advise;
  advise(fd, start, end - start, DONTNEED);
}
