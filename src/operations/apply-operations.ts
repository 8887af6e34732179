import type { GuestDraft, GuestState } from './operation.js';
import { kindOf, type Operation } from './registry.js';

/**
 * Returns the guest as it is after `operations`, in their order, except for what programs of the guest do.
 * Pure.
 */
export function applyOperations<Guest extends GuestState>(
  guest: Guest,
  operations: readonly Operation[],
): Guest {
  if (operations.length === 0) return guest;
  const draft: GuestDraft = { identity: guest.identity, tree: guest.tree.draft(), registry: guest.registry };
  applyTo(draft, operations);
  return { ...guest, ...draft };
}

/** Does the same in place. */
export function applyTo(draft: GuestDraft, operations: readonly Operation[]): void {
  for (const operation of operations) kindOf(operation).applyTo(draft, operation);
}
