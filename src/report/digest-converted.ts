import { exists } from '../files/exists.js';
import { privateCopyOf } from '../sources/local/hold-source.js';
import { listSource, sourceChanged, sourceId } from '../sources/local/list-source.js';
import { digestSource } from './checksums.js';

export interface ConvertedDrop {
  source: { directory: string; entries: readonly string[] };
  /** The id of the drop that the stages read. */
  sourceId: string | null;
  workDirectory: string;
  signal?: AbortSignal;
}

/**
 * Returns size and digest of every file of a converted drop. Since the end of the stages its owner could
 * write to it again, so it is checked before and after that it is still what they read. If they read a copy,
 * its content is compared, because a file that its owner has mapped into memory may change without a new
 * ctime. Errors: `source.changed`.
 */
export async function digestConverted(
  drop: ConvertedDrop,
): Promise<Awaited<ReturnType<typeof digestSource>>> {
  const { source, workDirectory, signal } = drop;
  await assertConverted(drop);
  const digests = await digestSource(source, signal);
  await assertConverted(drop);
  const copy = drop.sourceId === null ? null : privateCopyOf(drop.sourceId, workDirectory);
  if (copy === null || !(await exists(copy))) return digests;
  const read = await digestSource({ directory: copy, entries: source.entries }, signal);
  const isSame = digests.every(({ file }, at) => file.sha256 === read[at]?.file.sha256);
  if (!isSame || read.length !== digests.length) throw changed();
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
