import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import type { Assembled, Assembly } from './assemble.js';
import { corrupt } from './base/bytes.js';
import { compareNames } from './base/names.js';

/**
 * Returns the states of a disk from `leaf` down to the base. Throws `flatten.chain-too-deep`, and
 * `fetch.corrupt` for a loop.
 */
export function chainOf(leaf: string, assembly: Assembly, maxDepth: number): Assembled[] {
  const layers: Assembled[] = [];
  const seen = new Set<string>();
  for (let name: string | undefined = leaf; name !== undefined; name = assembly.parents.get(name)) {
    if (seen.has(name)) throw corrupt(`the chain of ${printable(leaf)} loops back to ${printable(name)}`);
    seen.add(name);
    layers.push(assembly.images.get(name)!);
    if (layers.length > maxDepth) {
      throw new Hyper2kvmError(
        'flatten.chain-too-deep',
        `the chain of ${printable(leaf)} has more than ${maxDepth} files`,
      );
    }
  }
  return layers;
}

/**
 * Returns the newest states: images that no other one builds on, in the order of their names. Throws
 * `fetch.several-leaves` if two of them share an ancestor (two branches of one disk).
 */
export function leavesOf(assembly: Assembly): string[] {
  const inner = new Set(assembly.parents.values());
  const leaves = [...assembly.images.keys()].filter((name) => !inner.has(name)).sort(compareNames);
  const owner = new Map<string, string>();
  for (const leaf of leaves) {
    for (const { file } of chainOf(leaf, assembly, assembly.images.size)) {
      const other = owner.get(file.name);
      if (other !== undefined) {
        throw new Hyper2kvmError(
          'fetch.several-leaves',
          `${printable(other)} and ${printable(leaf)} are both the newest state of the same disk (both build on ${printable(file.name)})`,
        );
      }
      owner.set(file.name, leaf);
    }
  }
  if (leaves.length === 0 && assembly.images.size > 0)
    throw corrupt('every image builds on another one: the chain is a loop');
  return leaves;
}
