import { printable } from '../disk/names.js';
import type { Drop, Grouping } from './group-types.js';
import { diskStem, stemOf } from './names.js';

/** Puts `names` that `fits` accepts into the drop of the same stem; the rest goes to `otherwise`. */
export function attach(
  names: readonly string[],
  drops: readonly Drop[],
  fits: (name: string) => boolean,
  otherwise: (name: string) => void,
): void {
  const owners = stemOwners(drops);
  for (const name of names) {
    const owner = fits(name) ? owners.get(stemOf(name)) : undefined;
    if (owner === undefined) otherwise(name);
    else owner.entries.push(name);
  }
}

/** A job.toml belongs to the drop that has a file (or is a directory) of its name; of two such drops to the first by name. */
export function attachJobs(
  jobs: readonly string[],
  drops: readonly Drop[],
  ignored: Grouping['ignored'],
): void {
  const owners = stemOwners(drops);
  for (const name of jobs) {
    const owner = owners.get(stemOf(name));
    if (owner === undefined || owner.options !== null) {
      ignored.push({ name, reason: 'job-without-disk' });
      continue;
    }
    owner.entries.push(name);
    owner.options = name;
  }
}

/** Who has a file of a stem. The drop that is named after it comes before one that merely has such a file. */
function stemOwners(drops: readonly Drop[]): Map<string, Drop> {
  const owners = new Map<string, Drop>();
  for (const drop of drops) if (!owners.has(stemOf(drop.name))) owners.set(stemOf(drop.name), drop);
  for (const drop of drops)
    for (const entry of drop.entries) if (!owners.has(stemOf(entry))) owners.set(stemOf(entry), drop);
  // A directory's name has no ending to take off.
  for (const drop of drops)
    if (drop.entries[0] === drop.name && !owners.has(drop.name)) owners.set(drop.name, drop);
  return owners;
}

/** A drop waits for files of its own name that are still being written: extents, and deltas on a base that is whole already. */
export function holdBack(partials: readonly string[], drops: Drop[]): void {
  if (partials.length === 0) return;
  const owners = new Map<string, Drop[]>();
  for (const drop of drops) {
    const own = diskStem(drop.name);
    const known = owners.get(own);
    if (known === undefined) owners.set(own, [drop]);
    else known.push(drop);
  }
  for (const final of partials)
    for (const stem of stemsOf(diskStem(final)))
      for (const drop of owners.get(stem) ?? []) {
        if (drop.problem !== undefined || drop.refused !== null) continue;
        if (drop.waitingFor?.startsWith('missing') === false) continue;
        drop.complete = false;
        drop.waitingFor = `${printable(final)} is still being written`;
      }
}

/** `web01-000001`: itself, and what stands before each dash. */
function stemsOf(stem: string): string[] {
  const stems = [stem];
  for (let dash = stem.indexOf('-'); dash !== -1; dash = stem.indexOf('-', dash + 1))
    stems.push(stem.slice(0, dash));
  return stems;
}
