import { exists } from '../files/exists.js';
import { privateCopyOf } from '../sources/local/hold-source.js';
import { listSource, sourceChanged, sourceId } from '../sources/local/list-source.js';
import { digestSource } from './checksums.js';

export interface ConvertedDrop {
  source: { directory: string; entries: readonly string[] };
  /** Of the drop that the stages have read. */
  sourceId: string | null;
  workDirectory: string;
  signal?: AbortSignal;
}

/**
 * Size and digest of every file of a drop that was converted. Since the end of the stages nobody keeps its
 * owner from writing to it: what is digested must be what they have read, before and after. Where that was a
 * copy, its content counts, since a file that its owner has mapped into memory may change without a new
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

/** Throws `source.changed` where the drop is not the one that the stages have read. */
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
