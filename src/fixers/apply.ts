import { posix } from 'node:path';
import type { GuestTree, TreeEntry } from '../guest/tree.js';
import type { Operation } from './operation.js';

const ROOT_OWNED = { uid: 0, gid: 0 } as const;

/** The tree as it is after `operations`, in their order. An initramfs and what a guest's program does are not in the tree. Pure. */
export function applyOperations(tree: GuestTree, operations: readonly Operation[]): GuestTree {
  return operations.reduce(applyOne, tree);
}

function applyOne(tree: GuestTree, operation: Operation): GuestTree {
  switch (operation.op) {
    case 'write_file': {
      const content = Buffer.from(operation.after, operation.encoding);
      const old = tree.get(operation.path);
      if (old !== null) return tree.with({ ...old, content, size: content.length });
      const path = realPath(tree, operation.path);
      const entry = { path, type: 'file', mode: operation.mode, size: content.length, content } as const;
      return put(tree, { ...entry, ...ROOT_OWNED });
    }
    case 'remove': {
      const entry = tree.lstat(operation.path);
      return entry === null ? tree : tree.without(entry.path);
    }
    case 'symlink': {
      const path = realPath(tree, operation.path);
      return put(tree, {
        path,
        type: 'symlink',
        mode: 0o777,
        size: operation.target.length,
        target: operation.target,
        ...ROOT_OWNED,
      });
    }
    case 'copy_file': {
      const from = tree.get(operation.from);
      return from === null ? tree : put(tree, { ...from, path: realPath(tree, operation.path) });
    }
    case 'append_initramfs':
    case 'rebuild_initramfs':
    case 'run':
      return tree;
  }
}

/** The path with links in its directories followed; a directory that does not exist yet stays as written. */
function realPath(tree: GuestTree, path: string): string {
  const { dir, base } = posix.parse(posix.normalize(path));
  if (dir === '/' || dir === '') return `/${base}`;
  return `${tree.resolve(dir) ?? realPath(tree, dir)}/${base}`;
}

function put(tree: GuestTree, entry: TreeEntry): GuestTree {
  const parent = posix.dirname(entry.path);
  const base =
    parent === '/' || tree.exists(parent)
      ? tree
      : put(tree, { path: parent, type: 'directory', mode: 0o755, size: 0, ...ROOT_OWNED });
  return base.with(entry);
}
