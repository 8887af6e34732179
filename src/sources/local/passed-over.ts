import type { ImageFile } from '../../disk/assemble.js';
import { isChangeTracking } from '../../disk/formats.js';
import type { PassedOver } from '../../model/drop.js';
import { bytesOf, type Chain } from '../../model/storage.js';
import { DESCRIPTIONS, type FoundDescription } from './description.js';
import type { Inventory } from './inventory.js';

/**
 * Returns the files in the drop that are neither part of a disk nor were read for the information in them.
 */
export function passedOver(
  { hidden, prefix }: Inventory,
  images: readonly ImageFile[],
  { chains, description }: { chains: readonly Chain[]; description: FoundDescription | null },
): PassedOver[] {
  const used = new Set(chains.flatMap(bytesOf).map((bytes) => JSON.stringify(bytes)));
  const unused = images.filter(
    ({ name, bytes }) =>
      !used.has(JSON.stringify(bytes)) &&
      name !== description?.file &&
      !DESCRIPTIONS.some((pattern) => pattern.test(name)),
  );
  return [
    ...hidden.map((path) => ({ path, reason: 'hidden' as const })),
    ...unused.map((file) => ({ path: prefix + file.name, reason: reasonFor(file) })),
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function reasonFor({ name, image, error }: ImageFile): PassedOver['reason'] {
  if (isChangeTracking(name)) return 'change-tracking';
  return image === null && error === null ? 'not-a-disk' : 'not-used';
}
