import { parseSectionPath } from '../../guest/unified-image.js';
import type { Guest } from '../fixer.js';
import type { Operation, Warning } from '../operation.js';

/** The unified images of which `operations` change a section, by path. */
export function changedImages(operations: readonly Operation[]): Set<string> {
  const paths = operations.flatMap((operation) => ('path' in operation ? [operation.path] : []));
  return new Set(paths.flatMap((path) => parseSectionPath(path)?.image ?? []));
}

/** What to say of the signed ones among them. */
export function lostSignatures(
  { identity }: Guest,
  operations: readonly Operation[],
  fixer: string,
): Warning[] {
  const changed = changedImages(operations);
  return identity.kernels
    .filter(({ image, signed }) => signed === true && changed.has(image))
    .map(({ image }) => {
      const message = `${image} is changed and loses its signature: it must be signed again in the guest before Secure Boot is switched on`;
      return { fixer, code: 'boot.unified-signature', message };
    });
}
