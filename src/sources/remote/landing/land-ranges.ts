import type { FileHandle } from 'node:fs/promises';
import { paced } from '../transports/base/paced.js';
import type { RemoteFile } from '../transports/base/transport.js';
import { BLOCK_BYTES, type BlockMap, type BlockRun } from './block-map.js';
import type { BlockWriter } from './block-writer.js';
import { Checkpointer } from './checkpointer.js';
import type { LandingContext } from './context.js';
import type { LandingDigest } from './digest.js';
import type { Journal } from './journal.js';
import { Patience } from './patience.js';
import type { UnsyncedBlocks } from './unsynced-blocks.js';

interface RangeLanding {
  file: RemoteFile;
  size: number;
  blocks: BlockMap;
  target: FileHandle;
  writer: BlockWriter;
  journal: Journal;
  unsynced: UnsyncedBlocks;
  digest: LandingDigest;
}

/**
 * Fetches the blocks that are missing by several requests at once, each with one block in memory. Returns how
 * often a request was repeated. Rejects with the error of the request that failed too often; what was landed is
 * in the journal even then.
 */
export async function landRanges(landing: RangeLanding, context: LandingContext): Promise<number> {
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const patience = new Patience(context.attempts, signal);
  const checkpointer = new Checkpointer(landing.target, landing.journal, landing.unsynced);
  checkpointer.start((error) => stop.abort(error));
  const finish = async (block: number, bytes: Buffer) => {
    await checkpointer.add(block, bytes);
    landing.blocks.finish({ first: block, end: block + 1 });
    landing.digest.advance(landing.blocks.frontier * BLOCK_BYTES);
    patience.progressed();
    // Without a validator nothing is resumed, so that the next attempt is no further.
    if (landing.file.validator !== null) context.advanced();
  };
  const lines = Array.from({ length: context.parallel }, async () => {
    try {
      await fetchLine(landing, { ...context, signal }, patience, finish);
    } catch (error) {
      // The first failure is the reason; the other lines end with it.
      if (!stop.signal.aborted) stop.abort(error);
    }
  });
  await Promise.all(lines);
  await checkpointer.end();
  signal.throwIfAborted();
  return patience.retries;
}

/** One request after the other, until no block is left for it. */
async function fetchLine(
  { file, size, blocks, writer }: RangeLanding,
  context: LandingContext,
  patience: Patience,
  finish: (block: number, bytes: Buffer) => Promise<void>,
): Promise<void> {
  const failed = patience.line();
  const buffer = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, size));
  const most = Math.max(1, Math.floor(context.chunkBytes / BLOCK_BYTES));
  for (let run = blocks.take(most); run !== null; run = blocks.take(most)) {
    try {
      await fetchRun(run, { file, size, writer, buffer }, context, finish);
    } catch (error) {
      blocks.giveBack(run);
      await failed(error);
    }
  }
}

async function fetchRun(
  { first, end }: BlockRun,
  { file, size, writer, buffer }: Pick<RangeLanding, 'file' | 'size' | 'writer'> & { buffer: Buffer },
  { signal, bandwidth, meter }: LandingContext,
  finish: (block: number, bytes: Buffer) => Promise<void>,
): Promise<void> {
  const range = { start: first * BLOCK_BYTES, end: Math.min(end * BLOCK_BYTES, size) };
  let block = first;
  let filled = 0;
  for await (const bytes of paced(file, range, signal)) {
    await bandwidth.take(bytes.length, signal);
    meter.receive(bytes.length);
    for (let used = 0; used < bytes.length; ) {
      const length = Math.min(BLOCK_BYTES, size - block * BLOCK_BYTES);
      const copied = bytes.copy(buffer, filled, used, used + length - filled);
      used += copied;
      filled += copied;
      if (filled < length) continue;
      const whole = buffer.subarray(0, length);
      await writer.write(block, whole);
      await finish(block, whole);
      meter.add(length);
      block += 1;
      filled = 0;
    }
  }
}
