import { constants } from 'node:fs';
import { access, copyFile } from 'node:fs/promises';
import type { Architecture, UefiImages } from './architecture.js';

/**
 * Returns the first firmware of the architecture that is complete and readable here, or undefined. With
 * Secure Boot, it has Microsoft's keys.
 */
export async function findUefi(
  { uefi }: Pick<Architecture, 'uefi'>,
  { secureBoot }: { secureBoot: boolean } = { secureBoot: false },
): Promise<UefiImages | undefined> {
  for (const images of secureBoot ? uefi.secureImages : uefi.images) {
    if ((await readable(images.code)) && (await readable(images.variables))) return images;
  }
  return undefined;
}

/**
 * Copies the pristine variables to `target`: the old hypervisor's entries are unknown, as on the VM's first
 * start under libvirt.
 */
export async function freshVariables(images: UefiImages, target: string): Promise<UefiImages> {
  await copyFile(images.variables, target);
  return { code: images.code, variables: target };
}

function readable(path: string): Promise<boolean> {
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}
