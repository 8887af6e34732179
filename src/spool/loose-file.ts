import { pieceOf } from '../disk/base/pieces.js';
import type { HeaderFacts } from '../model/drop.js';

/** A file that may be a disk or a description, with what its header says. */
export interface LooseFile {
  name: string;
  facts: HeaderFacts;
}

/** What a first piece (`disk.vmdk.000000000`) stands for. */
export function wholeOf(name: string): { whole: string; name: string }[] {
  const piece = pieceOf(name);
  return piece?.number === 0 ? [{ whole: piece.whole, name }] : [];
}

/** Returns the only other one of these names, if there is exactly one. */
export function onlyOther(names: readonly string[] | undefined, self: string): string | undefined {
  const others = (names ?? []).filter((name) => name !== self);
  return others.length === 1 ? others[0] : undefined;
}

/** Returns the files that this one needs and that are not there. */
export function missingOf(facts: HeaderFacts, present: { has(name: string): boolean }): string[] {
  return facts.needs.filter((name) => !present.has(name));
}
