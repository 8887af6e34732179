import { parseSectionPath } from '../../guest/unified-image.js';
import { unifiedImagePaths } from '../../guest/unified-image-paths.js';
import type { Warning } from '../../model/plan.js';
import { kindOf, type Operation } from '../../operations/registry.js';
import type { Guest } from '../base/fixer.js';

/** True if the ESP has a unified image that INSPECT could not read, and has warned of. */
export function hasUnreadImage({ tree, identity }: Pick<Guest, 'tree' | 'identity'>): boolean {
  const read = new Set(identity.unified_images.map(({ path }) => path));
  return unifiedImagePaths(tree).some((path) => /\/EFI\/Linux\//i.test(path) && !read.has(path));
}

/** Returns a warning for each signed unified image of which `operations` change a part. */
export function lostSignatures({ identity }: Guest, operations: readonly Operation[]): Warning[] {
  const subjects = operations.map((operation) => kindOf(operation).subject(operation));
  const changed = new Set(subjects.flatMap((subject) => parseSectionPath(subject)?.image ?? []));
  return identity.unified_images
    .filter(({ path, signed }) => signed && changed.has(path))
    .map(({ path }) => {
      const message = `${path} is changed and loses its signature: sign it again in the guest before enabling Secure Boot`;
      return { fixer: 'unified-images', code: 'boot.unified-signature', message };
    });
}
