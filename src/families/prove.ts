import type { GuestState } from '../operations/operation.js';
import type { Family } from './base/family.js';
import type { FixedGuest } from './base/fixer.js';

type Proving = Pick<Family, 'fixers'>;

/** Guest paths of the files that the fixers' proofs read, each once. */
export function proofPaths({ fixers }: Proving, after: GuestState): string[] {
  return [...new Set(fixers.flatMap(({ proof }) => proof?.paths(after) ?? []))];
}

/** What the fixers find right in the guest, one line each. Throws `fix.unproven`. */
export function proveFixers({ fixers }: Proving, guest: FixedGuest): string[] {
  return fixers.flatMap(({ proof }) => proof?.check(guest) ?? []);
}
