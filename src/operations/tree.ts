import { posix } from 'node:path';
import type { GuestTree, GuestTreeDraft, TreeEntry } from '../guest/tree.js';

export const ROOT_OWNED = { uid: 0, gid: 0 } as const;

/**
 * Returns the path with links in its directories followed; directories that do not exist yet stay as written.
 */
export function realPath(tree: GuestTree, path: string): string {
  const { dir, base } = posix.parse(posix.normalize(path));
  if (dir === '/' || dir === '') return `/${base}`;
  return `${tree.resolve(dir) ?? realPath(tree, dir)}/${base}`;
}

/** Adds the entry and any missing directories above it. */
export function putEntry(draft: GuestTreeDraft, entry: TreeEntry): void {
  const parent = posix.dirname(entry.path);
  if (parent !== '/' && !draft.exists(parent))
    putEntry(draft, { path: parent, type: 'directory', mode: 0o755, size: 0, ...ROOT_OWNED });
  draft.put(entry);
}
