import { posix } from 'node:path';
import type { GuestTree } from './tree.js';

/** Partition types of an EFI system partition: GPT's, and the rare one of an MBR. */
export const ESP_TYPES: ReadonlySet<string> = new Set(['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']);

/** The usual mount points of an ESP; INSPECT may have found it elsewhere (`espMountpoints`). */
export const ESP_MOUNTPOINTS = ['/boot/efi', '/efi', '/boot/EFI', '/boot/esp', '/esp', '/boot'] as const;

/** Directories named `efi` below these belong to packages. */
const NO_ESP = /^\/(etc|usr|var|lib|lib64|bin|sbin|dev|proc|sys)$/;
/** The deepest `EFI`: that of an ESP on `/a/b/c`. */
const MAX_DEPTH = 4;
/** Names that are looked at. A guest has some hundreds down to that depth. */
const MAX_NAMES = 2000;

/**
 * Returns the directories `EFI` at the top of an ESP. FAT preserves the case of names but ignores it, so `EFI`
 * may be `efi`. `/boot/efi` does not count if `/boot/efi/EFI` exists.
 */
export function efiDirectories(tree: GuestTree): string[] {
  const named: string[] = [];
  let left = MAX_NAMES;
  let level = [''];
  for (let depth = 0; depth < MAX_DEPTH && left > 0; depth += 1) {
    const names = level.flatMap((parent) => tree.list(parent || '/').map((name) => `${parent}/${name}`));
    const looked = names.slice(0, left);
    left -= looked.length;
    level = looked.filter((path) => !NO_ESP.test(path) && tree.lstat(path)?.type === 'directory');
    named.push(...level.filter(isNamedEfi));
  }
  return named.filter((path) => !named.some((other) => posix.dirname(other) === path));
}

const isNamedEfi = (path: string) => posix.basename(path).toLowerCase() === 'efi';

/** Returns the usual mount points of an ESP and those that have one, without duplicates. */
export function espMountpoints(tree: GuestTree): string[] {
  return [...new Set([...ESP_MOUNTPOINTS, ...efiDirectories(tree).map((path) => posix.dirname(path))])];
}
