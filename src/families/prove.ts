import type { Identity } from '../model/identity.js';
import type { GuestState } from '../operations/operation.js';
import type { Family } from './base/family.js';
import type { FixedGuest } from './base/fixer.js';

type Proving = Pick<Family, 'fixers'>;

/** Returns the guest paths that the fixers' proofs read, each once. */
export function proofPaths({ fixers }: Proving, after: GuestState): string[] {
  return [...new Set(fixers.flatMap(({ proof }) => proof?.paths(after) ?? []))];
}

/** Returns what the fixers' proofs found as it should be, one line each. Throws `fix.unproven`. */
export function proveFixers({ fixers }: Proving, guest: FixedGuest<Identity>): string[] {
  return fixers.flatMap(({ proof }) => proof?.check(guest) ?? []);
}
