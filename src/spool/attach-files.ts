import { eachInTurns } from '../host/turns.js';
import type { Drop } from '../model/drop.js';
import { diskStem, isOfVm, stemOf } from './names.js';

/**
 * Adds those of `names` that `fits` accepts to the drop with the same stem; passes the rest to `otherwise`.
 */
export async function attach(
  names: readonly string[],
  drops: readonly Drop[],
  fits: (name: string) => boolean,
  otherwise: (name: string) => void,
): Promise<void> {
  const owners = await stemOwners(drops);
  await eachInTurns(names, (name) => {
    const owner = fits(name) ? (owners.get(stemOf(name)) ?? owners.get(diskStem(name))) : undefined;
    if (owner === undefined) otherwise(name);
    else owner.entries.push(name);
  });
}

/**
 * Adds each job.toml to the drop that has a file (or is a directory) of its name; if there are two, to the
 * first by name. Returns those without one.
 */
export async function attachJobs(jobs: readonly string[], drops: readonly Drop[]): Promise<string[]> {
  const owners = await stemOwners(drops);
  const without: string[] = [];
  await eachInTurns(jobs, (name) => {
    const owner = owners.get(stemOf(name));
    if (owner === undefined || owner.options !== null) {
      without.push(name);
      return;
    }
    owner.entries.push(name);
    owner.options = name;
  });
  return without;
}

/**
 * Returns the drop that owns each stem. A drop named after the stem takes precedence over one that merely has
 * such a file.
 */
async function stemOwners(drops: readonly Drop[]): Promise<Map<string, Drop>> {
  const owners = new Map<string, Drop>();
  const own = (stem: string, drop: Drop) => {
    if (!owners.has(stem)) owners.set(stem, drop);
  };
  await eachInTurns(drops, (drop) => own(stemOf(drop.name), drop));
  for (const drop of drops) await eachInTurns(drop.entries, (entry) => own(stemOf(entry), drop));
  // A directory's name has no extension to remove.
  await eachInTurns(drops, (drop) => {
    if (drop.entries[0] === drop.name) own(drop.name, drop);
  });
  return owners;
}

/** A name that shows that the file `final` is still being written. */
interface PartialName {
  name: string;
  final: string;
}

/**
 * Makes a drop wait for files of its own name that are still being written: extents, and deltas on a base
 * that is complete by itself. A file of the drop with a partial file or a download's state beside it is not
 * complete, however complete it looks: that reason takes precedence.
 */
export async function holdBack(partials: readonly PartialName[], drops: Drop[]): Promise<void> {
  if (partials.length === 0) return;
  const owners = new Map<string, Drop[]>();
  const byEntry = new Map<string, Drop>();
  await eachInTurns(drops, (drop) => {
    if (drop.problem !== undefined || drop.refused !== null) return;
    for (const entry of drop.entries) byEntry.set(entry, drop);
    const known = owners.get(diskStem(drop.name));
    if (known === undefined) owners.set(diskStem(drop.name), [drop]);
    else known.push(drop);
  });
  await eachInTurns(partials, ({ final, name }) => {
    const own = byEntry.get(final);
    if (own !== undefined) own.waiting = { kind: 'writing', names: [final], shownBy: name };
    else if (!isOfVm(final)) return;
    for (const stem of stemsOf(diskStem(final)))
      for (const drop of owners.get(stem) ?? []) {
        // The file that is being written may be the one that is missing.
        if (drop.waiting !== null && drop.waiting.kind !== 'missing') continue;
        drop.waiting = { kind: 'writing', names: [final], shownBy: name };
      }
  });
}

/** Returns the stems that `web01-000001` may belong to: itself, and the part before each dash. */
function stemsOf(stem: string): string[] {
  const stems = [stem];
  for (let dash = stem.indexOf('-'); dash !== -1; dash = stem.indexOf('-', dash + 1))
    stems.push(stem.slice(0, dash));
  return stems;
}
