import type { DropFile, ImageFile } from '../../disk/assemble.js';
import { isChangeTracking } from '../../disk/formats.js';
import type { PassedOver } from '../../model/drop.js';
import { bytesOf, type Chain } from '../../model/storage.js';
import { isDescription } from './description-names.js';
import type { Inventory } from './inventory.js';

/**
 * Returns the files in the drop that are neither part of a disk nor were read for the information in them.
 */
export function passedOver(
  { hidden, prefix }: Inventory,
  images: readonly ImageFile[],
  isUsed: (file: Pick<DropFile, 'bytes'>) => boolean,
): PassedOver[] {
  const unused = images.filter((file) => !isUsed(file) && !isDescription(file.name));
  return [
    ...hidden.map((path) => ({ path, reason: 'hidden' as const })),
    ...unused.map((file) => ({ path: prefix + file.name, reason: reasonFor(file) })),
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Returns a function that tells whether a file of the drop is part of one of these disks. */
export function usedIn(chains: readonly Chain[]): (file: Pick<DropFile, 'bytes'>) => boolean {
  const used = new Set(chains.flatMap(bytesOf).map((bytes) => JSON.stringify(bytes)));
  return ({ bytes }) => used.has(JSON.stringify(bytes));
}

function reasonFor({ name, image, error }: ImageFile): PassedOver['reason'] {
  if (isChangeTracking(name)) return 'change-tracking';
  return image === null && error === null ? 'not-a-disk' : 'not-used';
}
