import { connectionError, interrupted, tooLate } from './errors.js';
import type { Answer } from './exchange.js';

/** A few MiB at most. */
const LATEST_MILLISECONDS = 300_000;

/** Returns the whole body of an answer. Throws `remote.interrupted` for one with more bytes than `most`. */
export async function contentOf(
  { body, origin }: Answer,
  most: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const late = setTimeout(() => body.destroy(tooLate(origin, LATEST_MILLISECONDS)), LATEST_MILLISECONDS);
  try {
    for await (const chunk of body) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).length;
      if (size > most) throw interrupted(`${origin}: the answer is longer than ${most} bytes`);
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : connectionError(error, origin);
  } finally {
    clearTimeout(late);
    body.destroy();
  }
  return Buffer.concat(chunks);
}
