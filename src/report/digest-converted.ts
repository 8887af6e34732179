import { isDeepStrictEqual } from 'node:util';
import { exists } from '../files/exists.js';
import type { SourceFile } from '../model/report.js';
import { digestSource } from '../sources/local/digest-source.js';
import { privateCopyOf } from '../sources/local/hold-source.js';
import { listSource, sourceChanged, sourceId } from '../sources/local/list-source.js';

export interface ConvertedDrop {
  source: { directory: string; entries: readonly string[] };
  /** The id of the drop that the stages read. */
  sourceId: string | null;
  /** Size and digest of each file that the stages read; null in a job of an older version. */
  read: readonly SourceFile[] | null;
  workDirectory: string;
  signal?: AbortSignal;
}

/**
 * Returns size and digest of every file of a converted drop. Since the end of the stages its owner could
 * write to it again, so it is checked that it is still what they read. If they read a copy, both contents are
 * compared, because a file that its owner has mapped into memory may change without a new ctime. Errors:
 * `source.changed`.
 */
export async function digestConverted(drop: ConvertedDrop): Promise<readonly SourceFile[]> {
  const { source, sourceId, read, workDirectory, signal } = drop;
  await assertConverted(drop);
  const isCopied = sourceId !== null && (await exists(privateCopyOf(sourceId, workDirectory)));
  if (read !== null && !isCopied) return read;
  const digests = await digestSource(source, signal === undefined ? {} : { signal });
  await assertConverted(drop);
  if (read !== null && !isDeepStrictEqual(digests, read)) throw changed();
  return digests;
}

/** Throws `source.changed` if the drop is not the one that the stages read. */
export async function assertConverted({
  source: { directory, entries },
  sourceId: expected,
}: Pick<ConvertedDrop, 'source' | 'sourceId'>): Promise<void> {
  if (expected === null) return;
  if (sourceId(await listSource(directory, entries)) !== expected) throw changed();
}

function changed() {
  return sourceChanged('the drop was written to after it had been converted, before it was archived');
}
