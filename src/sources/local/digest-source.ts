import type { Follow } from '../../files/digest.js';
import { digestFile, joinBytes, listFiles } from '../../files/digest-tree.js';
import type { SourceFile } from '../../model/report.js';

export interface SourceDigestOptions {
  signal?: AbortSignal;
  /** Returns what a file's digest follows. `before` is the size of all files that were read before it. */
  along?(before: number): Follow;
}

/** Returns size and digest of every regular file of a drop, sorted by the bytes of their paths. */
export async function digestSource(
  { directory, entries }: { directory: string; entries: readonly string[] },
  { along, ...options }: SourceDigestOptions = {},
): Promise<SourceFile[]> {
  const names = new Set(entries);
  const files: SourceFile[] = [];
  let before = 0;
  for (const path of await listFiles(directory)) {
    const name = path.toString();
    if (!names.has(name.split('/', 1)[0]!)) continue;
    const follow = along === undefined ? {} : { follow: along(before) };
    const digest = await digestFile(joinBytes(Buffer.from(directory), path), { ...options, ...follow });
    before += digest.size;
    files.push({ path: name, ...digest });
  }
  return files;
}
