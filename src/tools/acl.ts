import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrorCode } from '../errors/errno.js';
import type { User } from '../host/users.js';
import { findProgram } from './find-program.js';
import { run } from './run.js';

interface Owned {
  uid: number;
  gid: number;
  mode: number;
}

const SEARCH = 0o1;

/**
 * Returns whether `user` may pass through a directory, by its mode and, if it has one, its access control
 * list as getfacl(1) prints it with numbers. The order is that of acl(5): owner, named user, groups, others.
 * Pure.
 */
export function maySearch({ uid, gid, mode }: Owned, acl: string, user: User): boolean {
  if (uid === user.uid) return (mode & (SEARCH << 6)) !== 0;
  // Linux ignores a list whose mask is empty (acl_permission_check in fs/namei.c).
  const entries = (mode & 0o070) === 0 ? [] : aclEntries(acl);
  const isMasked = entries.some(({ tag, isAllowed }) => tag === 'mask' && !isAllowed);
  const named = entries.find(({ tag, id }) => tag === 'user' && id === user.uid);
  if (named !== undefined) return named.isAllowed && !isMasked;
  // Without a list, the mode has the group's own permissions; with one, it has the mask.
  const own = entries.find(({ tag, id }) => tag === 'group' && id === null);
  const groups = [
    { id: gid, isAllowed: own?.isAllowed ?? (mode & (SEARCH << 3)) !== 0 },
    ...entries.filter(({ tag, id }) => tag === 'group' && id !== null),
  ].filter(({ id }) => id !== null && user.groups.includes(id));
  if (groups.length > 0) return groups.some(({ isAllowed }) => isAllowed) && !isMasked;
  return (mode & SEARCH) !== 0;
}

/** `id` is null for the entry of the owner, the owning group or the mask. */
function aclEntries(acl: string): { tag: string; id: number | null; isAllowed: boolean }[] {
  return acl.split('\n').flatMap((line) => {
    const [, tag, id, search] = /^(user|group|mask):(\d*):[r-][w-]([x-])/.exec(line) ?? [];
    return tag === undefined ? [] : [{ tag, id: id === '' ? null : Number(id), isAllowed: search === 'x' }];
  });
}

/** Returns those of `directories` that exist and that `user` may not pass through, in order. */
export async function closedDirectories(
  user: User,
  directories: readonly string[],
  signal?: AbortSignal,
): Promise<string[]> {
  const stats = await Promise.all(
    directories.map(async (path) => ({ path, owned: await stat(path).catch(missing) })),
  );
  const existing = stats.flatMap(({ path, owned }) => (owned === null ? [] : [{ path, owned }]));
  const hasAcl = (await findProgram('getfacl')) !== null;
  const paths = existing.map(({ path }) => path);
  const lists = hasAcl ? await readAcls(paths, signal) : [];
  return existing
    .filter(({ owned }, index) => !maySearch(owned, lists[index] ?? '', user))
    .map(({ path }) => path);
}

/** Returns `path` and all directories above it, from the root down. */
export function pathTo(path: string): string[] {
  const above = dirname(path);
  return above === path ? [path] : [...pathTo(above), path];
}

/**
 * Lets `user` pass through `directories`, and with `inherit` through directories created in them. Errors:
 * `tool.*`.
 */
export async function allowSearch(
  user: User,
  directories: readonly string[],
  options: { inherit?: boolean; signal?: AbortSignal } = {},
): Promise<void> {
  if (directories.length === 0) return;
  const { signal } = options;
  const entry = aclEntry(user, options.inherit);
  await run('setfacl', ['-m', entry, '--', ...directories], signal === undefined ? {} : { signal });
}

/** Returns the entry for setfacl(1), which grants passing through and nothing else. */
export function aclEntry({ name }: Pick<User, 'name'>, inherit = false): string {
  const entry = `u:${name}:x`;
  return inherit ? `${entry},d:${entry}` : entry;
}

/** Returns what getfacl(1) prints of each directory: it puts an empty line behind each list. */
async function readAcls(directories: readonly string[], signal?: AbortSignal): Promise<string[]> {
  if (directories.length === 0) return [];
  const { stdout } = await run(
    'getfacl',
    ['--omit-header', '--numeric', '--absolute-names', '--access', '--', ...directories],
    signal === undefined ? {} : { signal },
  );
  return stdout.toString('utf8').split('\n\n');
}

function missing(error: unknown): null {
  // What is below a directory that this user may not pass through is unknown, and irrelevant: that directory
  // is closed.
  if (isErrorCode(error, 'ENOENT', 'EACCES')) return null;
  throw error;
}
