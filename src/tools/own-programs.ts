import { existsSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path';

/** Programs that are started confined, directly or by libguestfs (QEMU and qemu-img). */
const CONFINED = /^(?:qemu-img|qemu-system-.+|gzip|xz|zstd|7zz?)$/;
/** Variables that name libguestfs's QEMU (guestfs(3)). */
const NAMED = ['LIBGUESTFS_HV', 'LIBGUESTFS_QEMU'];
/** The kernel follows no more links (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Returns the directories of an operator's own builds of the confined programs: where the search path finds
 * one, where that links to, and what an installation has beside its bin/. Directories that are visible in the
 * sandbox anyway are omitted.
 */
export function ownPrograms(isShown: (path: string) => boolean): string[] {
  const directories = (process.env.PATH ?? '').split(delimiter).filter((path) => isAbsolute(path));
  const programs = [
    ...directories.flatMap(confinedIn),
    ...NAMED.map((name) => process.env[name] ?? '').filter((path) => isAbsolute(path)),
  ];
  const places = programs
    .filter(isFile)
    .flatMap(steps)
    .filter((path) => !isShown(path))
    .flatMap(installation);
  return [...new Set(places)].filter((path) => !isShown(path));
}

function confinedIn(directory: string): string[] {
  return namesIn(directory)
    .filter((name) => CONFINED.test(name))
    .map((name) => join(directory, name));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // A search path may contain directories that do not exist or are not readable; they have no programs.
    return [];
  }
}

/** Returns a program's path, those that its links lead through, and the final one without any links. */
function steps(program: string): string[] {
  const paths = [program];
  for (let path = program; paths.length < MAX_LINKS; paths.push(path)) {
    const target = linkOf(path);
    if (target === null) break;
    path = resolve(dirname(path), target);
  }
  return [...paths.filter((path) => existsSync(path)), realpathSync(program)];
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // It does not exist, or is in a directory that this user may not enter: it cannot be run.
    return false;
  }
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    // Not a link, or one that this user may not follow.
    return null;
  }
}

/**
 * Returns a program's directory and what belongs to it; for a program in the root directory only the program.
 */
export function installation(program: string): string[] {
  const bin = dirname(program);
  return bin === '/' ? [program] : [bin, ...besideBin(bin)];
}

const LIBRARIES = ['lib', 'lib32', 'lib64', 'libx32', 'libexec'];

/**
 * Returns an installation's firmware and libraries. ~/.local/share holds a user's own data, so only QEMU's
 * directory in it is included.
 */
function besideBin(bin: string): string[] {
  const prefix = dirname(bin);
  const data = basename(prefix) === '.local' ? ['share/qemu', 'share/qemu-firmware'] : ['share'];
  return [...data, ...LIBRARIES].map((name) => join(prefix, name)).filter((path) => existsSync(path));
}
