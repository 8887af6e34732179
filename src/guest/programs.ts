import type { GuestTree } from './tree.js';

/**
 * Where a guest has its programs: root's $PATH without /usr/local. INSPECT brings the names of what is in
 * them.
 */
const PROGRAM_DIRECTORIES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;

/** Where systemd itself is; the second is a directory of its own where /usr is not merged. */
export const SYSTEMD = ['/usr/lib/systemd/systemd', '/lib/systemd/systemd'] as const;

/** The paths that a guest may have a program at, in the order in which they are looked at. */
export const programPaths = (name: string): string[] =>
  PROGRAM_DIRECTORIES.map((directory) => `${directory}/${name}`);

/** True where the guest has a program of this name. */
export const hasProgram = (tree: GuestTree, name: string): boolean =>
  programPaths(name).some((path) => tree.exists(path));
