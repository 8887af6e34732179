import { existsSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path';

/** What is started confined, or starts in there (libguestfs starts QEMU and qemu-img). */
const CONFINED = /^(?:qemu-img|qemu-system-.+|gzip|xz|zstd)$/;
/** Variables that name libguestfs' QEMU (guestfs(3)). */
const NAMED = ['LIBGUESTFS_HV', 'LIBGUESTFS_QEMU'];
/** The kernel follows no more (path_resolution(7)). */
const MOST_LINKS = 40;

/**
 * Directories of an operator's own builds of the programs that are confined: where this process' search path
 * finds one, where that is a link to, and what an installation has beside its bin/. Only those that are not
 * shown anyway.
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
    // A search path may name what does not exist or may not be listed: nothing is looked for there.
    return [];
  }
}

/** A program's path, those that its links go through, and the last of them as it is without any link. */
function steps(program: string): string[] {
  const paths = [program];
  for (let path = program; paths.length < MOST_LINKS; paths.push(path)) {
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
    // Not there, or in a directory that this user may not enter: it cannot be run.
    return false;
  }
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    // No link, or none that this user may follow.
    return null;
  }
}

/** A program's directory and what belongs to it; of one in the root directory only itself. */
export function installation(program: string): string[] {
  const bin = dirname(program);
  return bin === '/' ? [program] : [bin, ...besideBin(bin)];
}

const LIBRARIES = ['lib', 'lib32', 'lib64', 'libx32', 'libexec'];

/** Firmware and libraries of an installation. ~/.local/share has a user's own data: only QEMU's there. */
function besideBin(bin: string): string[] {
  const prefix = dirname(bin);
  const data = basename(prefix) === '.local' ? ['share/qemu', 'share/qemu-firmware'] : ['share'];
  return [...data, ...LIBRARIES].map((name) => join(prefix, name)).filter((path) => existsSync(path));
}
