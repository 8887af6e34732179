import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Hyper2kvmError } from '../../../errors/error.js';
import { syncPath } from '../../../files/durable.js';
import { exists } from '../../../files/exists.js';
import { printable } from '../../../text/escape-terminal.js';
import type { RemoteFile } from '../transports/base/transport.js';
import { BLOCK_BYTES, BlockMap } from './block-map.js';
import { BlockWriter } from './block-writer.js';
import type { LandingContext } from './context.js';
import { LandingDigest } from './digest.js';
import { isSameFile, Journal, type JournalState, readJournal } from './journal.js';
import { landRanges } from './land-ranges.js';
import { landStream } from './land-stream.js';
import { UnsyncedBlocks } from './unsynced-blocks.js';

/** Where a file is landed. */
export interface LandingPlace {
  /** Its name once it is whole. */
  whole: string;
  part: string;
  journal: string;
  unsynced: string;
}

export interface LandedFile {
  name: string;
  size: number;
  sha256: string;
  retries: number;
}

/** A file that changes again and again while it is fetched never arrives. */
const MAX_RESTARTS = 3;

/**
 * Lands one file: sparse, durable, under its final name only when it is whole. Continues what an earlier call
 * left, if the file on the server is the same. Errors: `remote.digest-mismatch`, `remote.source-changed`, those
 * of the transport, those of the filesystem.
 */
export async function landFile(
  file: RemoteFile,
  place: LandingPlace,
  expected: string | undefined,
  context: LandingContext,
): Promise<LandedFile> {
  const known = await stateOf(file, place, context);
  if (known?.sha256 != null) {
    await refuseOther(file.name, known.sha256, expected, place);
    // Beside a part that is finished, the whole file is an older one.
    if (await exists(place.part)) await publish(place);
    const { size } = await stat(place.whole);
    context.meter.add(file.size);
    return { name: file.name, size, sha256: known.sha256, retries: 0 };
  }
  if (known?.isResumable !== true) await forget(place);
  const target = await open(place.part, known?.isResumable === true ? 'r+' : 'w+', 0o600);
  const journal =
    known?.isResumable === true
      ? await Journal.resume(place.journal)
      : await Journal.begin(place.journal, {
          size: file.size,
          validator: file.validator,
          block: BLOCK_BYTES,
          restarts: known?.restarts ?? 0,
        });
  try {
    const landed = await fetchAll(file, { place, target, journal, known }, context);
    await target.sync();
    await refuseOther(file.name, landed.sha256, expected, place);
    await journal.finish(landed.sha256);
    await rm(place.unsynced, { force: true });
    await publish(place);
    if (file.validator !== null) context.advanced();
    return { name: file.name, ...landed };
  } finally {
    await journal.close();
    await target.close();
  }
}

type Known = JournalState & {
  isResumable: boolean;
  /** How often the file has changed since it was first asked for. */
  restarts: number;
};

/** Returns what an earlier attempt has left of the file; null if nothing. */
async function stateOf(
  file: RemoteFile,
  { part, whole, journal }: LandingPlace,
  { log }: LandingContext,
): Promise<Known | null> {
  const state = await readJournal(journal);
  if (state === null) return null;
  const { header } = state;
  if (!isSameFile(header, file)) {
    if (header.restarts >= MAX_RESTARTS)
      throw new Hyper2kvmError(
        'remote.source-changed',
        `${file.origin} has changed ${MAX_RESTARTS} times while it was fetched`,
      );
    log.warn({ file: file.name }, 'the file has changed on the server, fetching it from the start');
    return { ...state, sha256: null, isResumable: false, restarts: header.restarts + 1 };
  }
  // Without a validator, nothing shows that the rest would be of the same bytes.
  const isKnown = file.validator !== null;
  const hasPart = await exists(part);
  const isWhole = isKnown && state.sha256 !== null && (hasPart || (await exists(whole)));
  return {
    ...state,
    sha256: isWhole ? state.sha256 : null,
    isResumable: isKnown && file.hasRanges && hasPart,
    restarts: header.restarts,
  };
}

async function fetchAll(
  file: RemoteFile,
  {
    place,
    target,
    journal,
    known,
  }: { place: LandingPlace; target: FileHandle; journal: Journal; known: Known | null },
  context: LandingContext,
): Promise<Omit<LandedFile, 'name'>> {
  const isResumed = known?.isResumable === true;
  if (!file.hasRanges) {
    const { size, retries } = await landStream(file, new BlockWriter(target, true), context);
    // Also removes what an earlier, longer stream has left behind its end.
    await target.truncate(size);
    return { size, retries, sha256: await digestOf(place.part, size, context.signal) };
  }
  const writer = new BlockWriter(target, isResumed);
  const { size } = file;
  await target.truncate(size);
  const blocks = new BlockMap(size);
  const unsynced = await UnsyncedBlocks.open(place.unsynced, target, size);
  if (isResumed) for (const run of known.finished) blocks.finish(run);
  for (const block of unsynced.blocks) blocks.finish({ first: block, end: block + 1 });
  const before = blocks.done;
  skipZeros(file, blocks);
  context.meter.add(Math.min(blocks.done * BLOCK_BYTES, size));
  context.meter.skipped += (blocks.done - before) * BLOCK_BYTES;
  const digest = new LandingDigest(place.part, size, context.signal);
  digest.advance(blocks.frontier * BLOCK_BYTES);
  try {
    const retries = await landRanges(
      { file, size, blocks, target, writer, journal, unsynced, digest },
      context,
    );
    digest.advance(size);
    return { size, retries, sha256: await digest.end() };
  } finally {
    await digest.stop();
    await unsynced.close();
  }
}

async function digestOf(path: string, size: number, signal: AbortSignal): Promise<string> {
  const digest = new LandingDigest(path, size, signal);
  digest.advance(size);
  return digest.end();
}

/** Marks as done what the server declares to be zeros: the new file has holes there. */
function skipZeros({ data, size }: RemoteFile, blocks: BlockMap): void {
  if (data === null) return;
  let next = 0;
  for (const { start, end } of data) {
    blocks.finish({ first: next, end: Math.floor(start / BLOCK_BYTES) });
    next = Math.max(next, Math.ceil(end / BLOCK_BYTES));
  }
  blocks.finish({ first: next, end: Math.ceil(size / BLOCK_BYTES) });
}

async function refuseOther(
  name: string,
  sha256: string,
  expected: string | undefined,
  { part, whole, journal }: LandingPlace,
): Promise<void> {
  if (expected === undefined || expected === sha256) return;
  // The next attempt must not continue with it.
  await rm(journal, { force: true });
  await rm(part, { force: true });
  await rm(whole, { force: true });
  throw new Hyper2kvmError(
    'remote.digest-mismatch',
    `${printable(name)} has the SHA-256 ${sha256}, and the job.toml names ${expected}`,
  );
}

/**
 * Removes what says that something of the file is landed, before its content is written over. The journal goes
 * first: a crash afterwards leaves nothing that calls blocks of the part done.
 */
async function forget({ whole, journal, unsynced }: LandingPlace): Promise<void> {
  await rm(journal, { force: true });
  await rm(unsynced, { force: true });
  await syncPath(dirname(journal));
  await rm(whole, { force: true });
  await syncPath(dirname(whole));
}

async function publish({ part, whole }: LandingPlace): Promise<void> {
  await rename(part, whole);
  await syncPath(dirname(whole));
}
