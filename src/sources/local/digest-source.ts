import type { DigestOptions } from '../../files/digest.js';
import { digestFile, joinBytes, listFiles } from '../../files/digest-tree.js';
import type { SourceFile } from '../../model/report.js';

/**
 * Returns size and digest of every regular file of a drop, sorted by the bytes of their paths. Those in `known`, by
 * path, are not read.
 */
export async function digestSource(
  { directory, entries }: { directory: string; entries: readonly string[] },
  { known = new Map(), ...options }: DigestOptions & { known?: ReadonlyMap<string, SourceFile> } = {},
): Promise<SourceFile[]> {
  const names = new Set(entries);
  const files: SourceFile[] = [];
  for (const path of await listFiles(directory)) {
    const name = path.toString();
    if (!names.has(name.split('/', 1)[0]!)) continue;
    const before = known.get(name);
    files.push(
      before ?? { path: name, ...(await digestFile(joinBytes(Buffer.from(directory), path), options)) },
    );
  }
  return files;
}
