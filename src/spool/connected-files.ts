import { eachInTurns } from '../host/turns.js';
import { type LooseFile, missingOf, onlyOther, wholeOf } from './loose-file.js';
import { diskStem } from './names.js';

/** Returns the connected components over "needs", "is the parent of" and "is a piece of the same disk". */
export async function connectedFiles(files: readonly LooseFile[]): Promise<LooseFile[][]> {
  const leader = new Map<string, string>();
  await eachInTurns(files, ({ name }) => leader.set(name, name));
  const find = (name: string): string => {
    let root = name;
    while (leader.get(root) !== root) root = leader.get(root)!;
    // Every name on the path is linked to the root, so that a chain that is named backwards is not walked
    // again for each of its files.
    for (let at = name; at !== root; ) {
      const next = leader.get(at)!;
      leader.set(at, root);
      at = next;
    }
    return root;
  };
  const join = (a: string, b: string) => leader.set(find(a), find(b));
  const byId = await disksById(files);
  const wholes = new Map(files.flatMap(({ name }) => wholeOf(name)).map(({ whole, name }) => [whole, name]));
  const pieces = new Map<string, string>();
  await eachInTurns(files, ({ name, facts }) => {
    for (const needed of [...facts.needs, ...(facts.uses ?? [])]) {
      const other = leader.has(needed) ? needed : wholes.get(needed);
      if (other !== undefined) join(name, other);
    }
    const parent = facts.parentId === null ? undefined : onlyOther(byId.get(facts.parentId), name);
    // A VDI names its parent by its UUID only.
    const isNameless = facts.needs.length === 0 && (facts.uses ?? []).length === 0;
    if (parent !== undefined && (isNameless || missingOf(facts, leader).length > 0)) join(name, parent);
    if (facts.kind !== 'extent') return;
    const stem = diskStem(name);
    const sibling = pieces.get(stem);
    if (sibling !== undefined) join(name, sibling);
    pieces.set(stem, name);
  });
  const result = new Map<string, LooseFile[]>();
  await eachInTurns(files, (file) => {
    const root = find(file.name);
    const own = result.get(root);
    if (own === undefined) result.set(root, [file]);
    else own.push(file);
  });
  return [...result.values()];
}

/**
 * Returns the names of the disks with each content id, at most three: it only matters whether there is one,
 * or exactly one other.
 */
async function disksById(files: readonly LooseFile[]): Promise<Map<string, string[]>> {
  const byId = new Map<string, string[]>();
  await eachInTurns(files, ({ name, facts }) => {
    if (facts.kind !== 'disk' || facts.contentId === null) return;
    const names = byId.get(facts.contentId);
    if (names === undefined) byId.set(facts.contentId, [name]);
    else if (names.length < 3) names.push(name);
  });
  return byId;
}
