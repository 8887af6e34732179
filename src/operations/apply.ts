import { posix } from 'node:path';
import type { GuestTree, GuestTreeDraft, TreeEntry } from '../guest/tree.js';
import { sectionPath } from '../guest/unified-image.js';
import type { Operation } from '../model/operation.js';

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
      const path = realPath(draft, operation.path);
      const fresh = { path, type: 'file', mode: operation.mode, ...ROOT_OWNED } as const;
      put(draft, { ...(old ?? fresh), content, size: content.length });
      break;
    }
    case 'remove': {
      const entry = draft.lstat(operation.path);
      if (entry !== null) draft.remove(entry.path);
      break;
    }
    case 'symlink': {
      const path = realPath(draft, operation.path);
      const { target } = operation;
      put(draft, { path, type: 'symlink', mode: 0o777, size: target.length, target, ...ROOT_OWNED });
      break;
    }
    case 'copy_file': {
      const from = draft.get(operation.from);
      const path = realPath(draft, operation.path);
      if (from !== null) put(draft, { ...from, path });
      const commandLine = from === null ? null : draft.lstat(sectionPath(from.path, '.cmdline'));
      if (commandLine !== null) put(draft, { ...commandLine, path: sectionPath(path, '.cmdline') });
      break;
    }
    case 'append_initramfs':
    case 'rebuild_initramfs':
    case 'install_packages':
    case 'run':
      break;
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
