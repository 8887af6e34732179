import type { GuestTree } from './tree.js';

/** Directories of a guest's programs: root's $PATH without /usr/local. INSPECT captures the names in them. */
const PROGRAM_DIRECTORIES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const;

/** Paths of systemd itself; the second is a separate directory if /usr is not merged. */
export const SYSTEMD = ['/usr/lib/systemd/systemd', '/lib/systemd/systemd'] as const;

/** Returns the possible paths of a program, in the order in which they are tried. */
export const programPaths = (name: string): string[] =>
  PROGRAM_DIRECTORIES.map((directory) => `${directory}/${name}`);

/** True if the guest has a program with this name. */
export const hasProgram = (tree: GuestTree, name: string): boolean =>
  programPaths(name).some((path) => tree.exists(path));
