import { paced } from '../transports/base/paced.js';
import type { RemoteFile } from '../transports/base/transport.js';
import { BLOCK_BYTES } from './block-map.js';
import type { BlockWriter } from './block-writer.js';
import type { LandingContext } from './context.js';
import { Patience } from './patience.js';

/**
 * Fetches a file of a server that sends no parts: from its start, and again from there after each break.
 * Returns how long it is, and how often it was begun again.
 */
export async function landStream(
  file: RemoteFile,
  writer: BlockWriter,
  context: LandingContext,
): Promise<{ size: number; retries: number }> {
  const patience = new Patience(context.attempts, context.signal);
  const failed = patience.line();
  for (;;) {
    let landed = 0;
    try {
      for await (const [block, bytes] of blocksOf(file, context)) {
        await writer.write(block, bytes);
        landed += bytes.length;
        context.meter.add(bytes.length);
      }
      // What was only estimated is there now, too.
      context.meter.add(file.size - landed);
      return { size: landed, retries: patience.retries };
    } catch (error) {
      context.meter.lose(landed);
      await failed(error);
      context.log.warn(
        { err: error, file: file.name },
        'the server sends no parts, beginning the file again',
      );
    }
  }
}

async function* blocksOf(
  file: RemoteFile,
  { signal, bandwidth, meter }: LandingContext,
): AsyncGenerator<[block: number, bytes: Buffer]> {
  const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
  let filled = 0;
  let block = 0;
  for await (const bytes of paced(file, null, signal)) {
    await bandwidth.take(bytes.length, signal);
    meter.receive(bytes.length);
    for (let used = 0; used < bytes.length; ) {
      const copied = bytes.copy(buffer, filled, used, used + BLOCK_BYTES - filled);
      used += copied;
      filled += copied;
      if (filled < BLOCK_BYTES) continue;
      yield [block, buffer];
      block += 1;
      filled = 0;
    }
  }
  if (filled > 0) yield [block, buffer.subarray(0, filled)];
}
