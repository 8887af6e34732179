import type { GuestReader } from '../../../access/guest-reader.js';
import { isPe, readPe } from '../../../guest/pe/image.js';
import type { WindowsPaths } from './paths.js';

/** Windows' boot manager on an ESP, and the program that a firmware without boot entries starts. */
export interface EfiLoaders {
  /** As it is spelled there; null if it is missing. */
  manager: string | null;
  /** Where the firmware looks, in the spelling that is there. */
  fallback: string;
  /** Of the fallback, compared with the boot manager. */
  state: 'same' | 'different' | 'missing';
}

const MANAGER = '/EFI/Microsoft/Boot/bootmgfw.efi';
/** Suffixes of programs by machine (UEFI specification, 3.5.1.1). */
const SUFFIXES = { x86: 'ia32', amd64: 'x64', arm64: 'aa64', other: 'x64' } as const;
const HEADERS_BYTES = 4096;
/** Real ones have 1 to 3 MiB. */
const MAX_LOADER_BYTES = 32 * 1024 * 1024;

/** Reads the loaders of the ESP that is mounted at `/`. */
export async function findEfiLoaders(reader: GuestReader, paths: WindowsPaths): Promise<EfiLoaders> {
  const manager = await fileAt(reader, paths, MANAGER);
  const suffix = SUFFIXES[manager === null ? 'other' : await machineOf(reader, manager.path)];
  const name = `/EFI/Boot/boot${suffix}.efi`;
  const fallback = await fileAt(reader, paths, name);
  if (fallback === null) {
    const directory = (await paths.find('/EFI/Boot')) ?? `${await paths.find('/EFI')}/Boot`;
    const path = `${directory}${name.slice(name.lastIndexOf('/'))}`;
    return { manager: manager?.path ?? null, fallback: path, state: 'missing' };
  }
  const isSame =
    manager !== null &&
    manager.size === fallback.size &&
    manager.size <= MAX_LOADER_BYTES &&
    (await reader.read(manager.path)).equals(await reader.read(fallback.path));
  const state = isSame ? 'same' : 'different';
  return { manager: manager?.path ?? null, fallback: fallback.path, state };
}

async function machineOf(reader: GuestReader, path: string): Promise<keyof typeof SUFFIXES> {
  const head = await reader.readAt(path, 0, HEADERS_BYTES);
  return isPe(head) ? readPe(head).machine : 'other';
}

async function fileAt(
  reader: GuestReader,
  paths: WindowsPaths,
  wanted: string,
): Promise<{ path: string; size: number } | null> {
  const path = await paths.find(wanted);
  const stat = path === null ? null : await reader.stat(path);
  return path !== null && stat?.type === 'file' ? { path, size: stat.size } : null;
}
