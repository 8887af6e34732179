import { eachInTurns } from '../host/turns.js';
import type { Drop, Grouping } from '../model/drop.js';
import { diskStem, stemOf } from './names.js';

/** Puts `names` that `fits` accepts into the drop of the same stem; the rest goes to `otherwise`. */
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
 * A job.toml belongs to the drop that has a file (or is a directory) of its name; of two such drops to the
 * first by name.
 */
export async function attachJobs(
  jobs: readonly string[],
  drops: readonly Drop[],
  ignored: Grouping['ignored'],
): Promise<void> {
  const owners = await stemOwners(drops);
  await eachInTurns(jobs, (name) => {
    const owner = owners.get(stemOf(name));
    if (owner === undefined || owner.options !== null) {
      ignored.push({ name, reason: 'job-without-disk' });
      return;
    }
    owner.entries.push(name);
    owner.options = name;
  });
}

/** Who has a file of a stem. The drop that is named after it comes before one that merely has such a file. */
async function stemOwners(drops: readonly Drop[]): Promise<Map<string, Drop>> {
  const owners = new Map<string, Drop>();
  const own = (stem: string, drop: Drop) => {
    if (!owners.has(stem)) owners.set(stem, drop);
  };
  await eachInTurns(drops, (drop) => own(stemOf(drop.name), drop));
  for (const drop of drops) await eachInTurns(drop.entries, (entry) => own(stemOf(entry), drop));
  // A directory's name has no ending to take off.
  await eachInTurns(drops, (drop) => {
    if (drop.entries[0] === drop.name) own(drop.name, drop);
  });
  return owners;
}

/**
 * A drop waits for files of its own name that are still being written: extents, and deltas on a base that is
 * whole already.
 */
export async function holdBack(partials: readonly string[], drops: Drop[]): Promise<void> {
  if (partials.length === 0) return;
  const owners = new Map<string, Drop[]>();
  await eachInTurns(drops, (drop) => {
    if (drop.problem !== undefined || drop.refused !== null) return;
    const known = owners.get(diskStem(drop.name));
    if (known === undefined) owners.set(diskStem(drop.name), [drop]);
    else known.push(drop);
  });
  await eachInTurns(partials, (final) => {
    for (const stem of stemsOf(diskStem(final)))
      for (const drop of owners.get(stem) ?? []) {
        // What is being written may be just what is missing.
        if (drop.waiting !== null && drop.waiting.kind !== 'missing') continue;
        drop.waiting = { kind: 'writing', names: [final] };
      }
  });
}

/** `web01-000001`: itself, and what stands before each dash. */
function stemsOf(stem: string): string[] {
  const stems = [stem];
  for (let dash = stem.indexOf('-'); dash !== -1; dash = stem.indexOf('-', dash + 1))
    stems.push(stem.slice(0, dash));
  return stems;
}
