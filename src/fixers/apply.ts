import { posix } from 'node:path';
import type { GuestTree, GuestTreeDraft, TreeEntry } from '../guest/tree.js';
import type { Operation } from './operation.js';

const ROOT_OWNED = { uid: 0, gid: 0 } as const;

/** The tree as it is after `operations`, in their order. An initramfs and what a guest's program does are not in the tree. Pure. */
export function applyOperations(tree: GuestTree, operations: readonly Operation[]): GuestTree {
  if (operations.length === 0) return tree;
  const draft = tree.draft();
  applyTo(draft, operations);
  return draft;
}

/** The same in place. */
export function applyTo(draft: GuestTreeDraft, operations: readonly Operation[]): void {
  for (const operation of operations) applyOne(draft, operation);
}

function applyOne(draft: GuestTreeDraft, operation: Operation): void {
  switch (operation.op) {
    case 'write_file': {
      const content = Buffer.from(operation.after, operation.encoding);
      const old = draft.get(operation.path);
      if (old !== null) return draft.put({ ...old, content, size: content.length });
      const path = realPath(draft, operation.path);
      const entry = { path, type: 'file', mode: operation.mode, size: content.length, content } as const;
      return put(draft, { ...entry, ...ROOT_OWNED });
    }
    case 'remove': {
      const entry = draft.lstat(operation.path);
      return entry === null ? undefined : draft.remove(entry.path);
    }
    case 'symlink': {
      const path = realPath(draft, operation.path);
      const { target } = operation;
      const entry = { path, type: 'symlink', mode: 0o777, size: target.length, target } as const;
      return put(draft, { ...entry, ...ROOT_OWNED });
    }
    case 'copy_file': {
      const from = draft.get(operation.from);
      return from === null ? undefined : put(draft, { ...from, path: realPath(draft, operation.path) });
    }
    case 'append_initramfs':
    case 'rebuild_initramfs':
    case 'run':
      return;
  }
}

/** The path with links in its directories followed; a directory that does not exist yet stays as written. */
function realPath(tree: GuestTree, path: string): string {
  const { dir, base } = posix.parse(posix.normalize(path));
  if (dir === '/' || dir === '') return `/${base}`;
  return `${tree.resolve(dir) ?? realPath(tree, dir)}/${base}`;
}

function put(draft: GuestTreeDraft, entry: TreeEntry): void {
  const parent = posix.dirname(entry.path);
  if (parent !== '/' && !draft.exists(parent))
    put(draft, { path: parent, type: 'directory', mode: 0o755, size: 0, ...ROOT_OWNED });
  draft.put(entry);
}
