import { Hyper2kvmError } from '../../errors/error.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Remove } from '../../operations/remove.js';
import type { Symlink } from '../../operations/symlink.js';
import type { WriteFile } from '../../operations/write-file.js';

/** The fixer that plans an operation, and its reason. */
export interface Cause {
  fixer: string;
  reason: string;
}

/**
 * Rewrites an existing text file through `change`, following links to the real file. Returns nothing if the
 * file does not exist or would not change.
 */
export function rewriteFile(
  tree: GuestTree,
  path: string,
  cause: Cause,
  change: (text: string) => string,
): WriteFile[] {
  const real = tree.resolve(path);
  const current = real === null ? null : tree.text(real);
  if (real === null || current === null) return [];
  const after = change(current.text);
  if (after === current.text) return [];
  const mode = (tree.get(real)?.mode ?? 0o644) & 0o7777;
  return [
    { op: 'write_file', ...cause, path: real, before: current.text, after, encoding: current.encoding, mode },
  ];
}

/**
 * Returns the operation that gives the file at `path` this `content`; none if it has it already. Throws
 * `plan.not-readable` if something is there whose content is unknown, because it would be overwritten unseen.
 */
export function putFile(
  tree: GuestTree,
  path: string,
  cause: Cause,
  content: string,
  mode = 0o644,
): WriteFile[] {
  if (tree.text(path) !== null) return rewriteFile(tree, path, cause, () => content);
  if (tree.lstat(path) !== null)
    throw new Hyper2kvmError(
      'plan.not-readable',
      `${path} must be written by ${cause.fixer} and is not a readable text file`,
    );
  return [{ op: 'write_file', ...cause, path, before: null, after: content, encoding: 'utf8', mode }];
}

/** Removes the file or link at `path`, without following it; returns nothing if it does not exist. */
export function removeFile(tree: GuestTree, path: string, cause: Cause): Remove[] {
  const entry = tree.lstat(path);
  if (entry === null) return [];
  const current = entry.type === 'file' ? tree.text(path) : null;
  return [
    {
      op: 'remove',
      ...cause,
      path: entry.path,
      before: current?.text ?? null,
      encoding: current?.encoding ?? 'utf8',
    },
  ];
}

/** Makes `path` a symbolic link to `target`; returns nothing if it is one already. */
export function putLink(tree: GuestTree, path: string, target: string, cause: Cause): Symlink[] {
  return tree.lstat(path)?.target === target ? [] : [{ op: 'symlink', ...cause, path, target }];
}

/** Returns the full paths of the files in a directory whose names match, sorted. */
export function filesIn(tree: GuestTree, directory: string, name: RegExp): string[] {
  return tree
    .list(directory)
    .filter((file) => name.test(file))
    .map((file) => `${directory}/${file}`);
}
