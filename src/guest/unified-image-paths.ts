import type { GuestTree } from './tree.js';

/**
 * Returns the paths of unified kernel images (kernel, initramfs and command line in one file). A file with
 * the firmware's default name may be a boot loader instead.
 */
export function unifiedImagePaths(tree: GuestTree): string[] {
  const image = /^\/(boot|efi|boot\/efi)\/EFI\/(Linux\/[^/]+|BOOT\/BOOT[^/]+)\.efi$/i;
  return tree.entries().flatMap(({ path }) => (image.test(path) ? [path] : []));
}
