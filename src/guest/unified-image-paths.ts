import type { GuestTree } from './tree.js';

/**
 * Where unified kernel images (kernel, initramfs and command line in one file) are, by path; what is under
 * the firmware's default name may be a boot loader.
 */
export function unifiedImagePaths(tree: GuestTree): string[] {
  const image = /^\/(boot|efi|boot\/efi)\/EFI\/(Linux\/[^/]+|BOOT\/BOOT[^/]+)\.efi$/i;
  return tree.entries().flatMap(({ path }) => (image.test(path) ? [path] : []));
}
