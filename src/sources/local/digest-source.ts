import type { DigestOptions, Follow } from '../../files/digest.js';
import { digestFile, joinBytes, listFiles } from '../../files/digest-tree.js';
import type { SourceFile } from '../../model/report.js';

export interface SourceDigestOptions extends Omit<DigestOptions, 'follow'> {
  /** Returns what the digest of the next file follows. */
  along?(): Follow;
  /** Files that are not read, by their path. */
  known?: ReadonlyMap<string, SourceFile>;
}

/** Returns size and digest of every regular file of a drop, sorted by the bytes of their paths. */
export async function digestSource(
  { directory, entries }: { directory: string; entries: readonly string[] },
  { along, known = new Map(), ...options }: SourceDigestOptions = {},
): Promise<SourceFile[]> {
  const names = new Set(entries);
  const files: SourceFile[] = [];
  for (const path of await listFiles(directory)) {
    const name = path.toString();
    if (!names.has(name.split('/', 1)[0]!)) continue;
    const before = known.get(name);
    const follow = along === undefined || before !== undefined ? {} : { follow: along() };
    files.push(
      before ?? {
        path: name,
        ...(await digestFile(joinBytes(Buffer.from(directory), path), { ...options, ...follow })),
      },
    );
  }
  return files;
}
