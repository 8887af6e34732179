import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * Returns the bytes of a regular file that somebody else has written. Follows no link in the last component,
 * does not wait for the writer of a FIFO, does not read a device, and stops at `mostBytes` if the file grows
 * meanwhile. Rejects with the system's error, or one that says what is wrong with the file.
 */
export async function readSmallFile(path: string, mostBytes: number): Promise<Buffer> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
  const file = await open(path, flags);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error('it is not a regular file');
    const buffer = Buffer.alloc(mostBytes + 1);
    let size = 0;
    for (let read = -1; read !== 0 && size < buffer.length; size += read)
      read = (await file.read(buffer, size, buffer.length - size, size)).bytesRead;
    if (size > mostBytes) throw new Error(`it is larger than ${mostBytes} bytes`);
    return buffer.subarray(0, size);
  } finally {
    await file.close();
  }
}
