import { posix } from 'node:path';
import type { GuestTree } from './tree.js';

/** Partition types of an EFI system partition: GPT's, and the rare one of an MBR. */
export const ESP_TYPES: ReadonlySet<string> = new Set(['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']);

/** Where distributions mount it; INSPECT may have found it elsewhere (`espMountpoints`). */
export const ESP_MOUNTPOINTS = ['/boot/efi', '/efi', '/boot/EFI', '/boot/esp', '/esp', '/boot'] as const;

/** Directories of this name there are packages' files. */
const NO_ESP = /^\/(etc|usr|var|lib|lib64|bin|sbin)\//;

/**
 * Returns the directories `EFI` at the top of an ESP, with the case they have there (FAT keeps it and does not
 * tell names apart by it). `/boot/efi` is none where `/boot/efi/EFI` is one.
 */
export function efiDirectories(tree: GuestTree): string[] {
  const named = tree
    .entries()
    .filter(({ path, type }) => type === 'directory' && isNamedEfi(path) && !NO_ESP.test(path));
  return named.flatMap(({ path }) =>
    tree.list(path).some((name) => isNamedEfi(name) && tree.isDirectory(`${path}/${name}`)) ? [] : [path],
  );
}

const isNamedEfi = (path: string) => posix.basename(path).toLowerCase() === 'efi';

/** Returns where an ESP is or is usually mounted, each place once. */
export function espMountpoints(tree: GuestTree): string[] {
  return [...new Set([...ESP_MOUNTPOINTS, ...efiDirectories(tree).map((path) => posix.dirname(path))])];
}
