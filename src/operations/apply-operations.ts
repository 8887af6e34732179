import type { GuestDraft, GuestState } from './operation.js';
import { kindOf, type Operation } from './registry.js';

/**
 * The guest as it is after `operations`, in their order. What a program of the guest does is not known. Pure.
 */
export function applyOperations<Guest extends GuestState>(
  guest: Guest,
  operations: readonly Operation[],
): Guest {
  if (operations.length === 0) return guest;
  const draft: GuestDraft = { identity: guest.identity, tree: guest.tree.draft() };
  applyTo(draft, operations);
  return { ...guest, ...draft };
}

/** The same in place. */
export function applyTo(draft: GuestDraft, operations: readonly Operation[]): void {
  for (const operation of operations) kindOf(operation).applyTo(draft, operation);
}
