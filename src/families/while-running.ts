import { parseSectionPath } from '../guest/unified-image.js';
import type { Identity } from '../model/identity.js';
import type { Warning } from '../model/plan.js';
import { kindOf, type Operation } from '../operations/registry.js';
import type { FixerResult } from './base/fixer.js';

/**
 * Returns the result of a fixer without the operations that a guest which still runs must not get, each with a
 * warning: the conversion does them. Pure.
 */
export function withoutUnsafe(result: FixerResult, identity: Identity): FixerResult {
  const operations: Operation[] = [];
  const warnings: Warning[] = [...result.warnings];
  for (const operation of result.operations) {
    const why = whyNot(operation, identity);
    if (why === null) operations.push(operation);
    else warnings.push({ fixer: operation.fixer, code: 'live.left-out', message: why });
  }
  return { ...result, operations, warnings };
}

function whyNot(operation: Operation, identity: Identity): string | null {
  const { whileRunning, title, subject } = kindOf(operation);
  const { verb, object } = title(operation);
  if (!whileRunning)
    return `left to the conversion, because it cannot be done while the guest runs: ${verb} ${object}`;
  const image = parseSectionPath(subject(operation))?.image;
  const isSigned =
    identity.os_type !== 'windows' &&
    identity.unified_images.some(({ path, signed }) => signed && path === image);
  return isSigned
    ? `left to the conversion, because ${image} would lose its signature and might not start on the old hypervisor: ${verb} ${object}`
    : null;
}
