import { efiDirectories } from './esp.js';
import type { GuestTree } from './tree.js';

/**
 * Returns the paths of unified kernel images (kernel, initramfs and command line in one file). A file with
 * the firmware's default name may be a boot loader instead.
 */
export function unifiedImagePaths(tree: GuestTree): string[] {
  const image = /^\/(Linux\/[^/]+|BOOT\/BOOT[^/]+)\.efi$/i;
  const directories = efiDirectories(tree);
  return tree.entries().flatMap(({ path }) => {
    const directory = directories.find((efi) => path.startsWith(`${efi}/`));
    return directory !== undefined && image.test(path.slice(directory.length)) ? [path] : [];
  });
}
