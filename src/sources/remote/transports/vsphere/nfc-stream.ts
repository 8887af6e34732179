import { SECTOR } from '../../../../disk/base/format.js';
import { parseSparseHeader, SPARSE_MAGIC, STREAM_TAIL, streamFooter } from '../../../../disk/vmdk/sparse.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { connectionError, interrupted, truncated } from '../http/errors.js';
import type { Answer } from '../http/exchange.js';

const GRAIN = 64 * 1024;
/** Of a grain table, with its marker, and the directory’s share: a table is for 32 MiB of the disk. */
const TABLE_BYTES = 4 * 1024;
const TABLE_SPAN = 32 * 1024 * 1024;
/** Header, descriptor, footer, markers. */
const FRAME_BYTES = 256 * 1024;

/** Returns the most bytes that the stream of a disk may have: none of its grains can be compressed. */
export function longestStream(capacity: number): number {
  // A grain that is not smaller compressed has its marker and zlib’s own bytes, in whole sectors.
  const grains = Math.ceil(capacity / GRAIN) * (GRAIN + 2 * SECTOR);
  return grains + Math.ceil(capacity / TABLE_SPAN) * TABLE_BYTES + FRAME_BYTES;
}

/**
 * Yields the stream of a disk: a VMDK of the kind streamOptimized, which its host makes while it sends it. Nothing
 * else tells where it ends, so that what came is checked: its header, the capacity, and the markers at its end.
 */
export async function* diskStream(
  { body, origin }: Answer,
  capacity: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const most = longestStream(capacity);
  let head: Buffer = Buffer.alloc(0);
  let tail: Buffer = Buffer.alloc(0);
  let received = 0;
  try {
    for await (const chunk of body) {
      const bytes = chunk as Buffer;
      received += bytes.length;
      if (received > most)
        throw interrupted(`${origin}: the host sent more bytes than the disk can have (${most})`);
      if (head.length < SECTOR) head = Buffer.concat([head, bytes.subarray(0, SECTOR - head.length)]);
      tail =
        bytes.length >= STREAM_TAIL
          ? bytes.subarray(bytes.length - STREAM_TAIL)
          : Buffer.concat([tail, bytes]).subarray(-STREAM_TAIL);
      yield bytes;
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : connectionError(error, origin);
  } finally {
    body.destroy();
  }
  refuseIncomplete({ head, tail, received }, capacity, origin);
}

function refuseIncomplete(
  { head, tail, received }: { head: Buffer; tail: Buffer; received: number },
  capacity: number,
  origin: string,
): void {
  if (received < SECTOR) throw truncated(`${origin}: the host sent ${received} bytes and ended`);
  if (!head.subarray(0, SPARSE_MAGIC.length).equals(SPARSE_MAGIC))
    throw interrupted(`${origin}: the host sent something else than a disk`);
  const header = parseSparseHeader(head);
  if (header.directory === null && streamFooter(tail) === null)
    throw truncated(`${origin}: ${received} bytes came, and the end of the disk is not among them`);
  if (header.capacity < capacity)
    throw new Hyper2kvmError(
      'remote.truncated',
      `${origin}: the host sent a disk of ${header.capacity} bytes, and that of the VM has ${capacity}`,
    );
}
