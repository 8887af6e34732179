import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { compareNames } from '../disk/base/names.js';
import { PARTIAL_ENDINGS } from '../disk/base/partial-names.js';
import { pieceName } from '../disk/base/pieces.js';
import { exists } from '../files/exists.js';
import { probeIncoming } from './header-facts.js';
import { stemOf } from './names.js';

/** A drop that was named by a path instead of being found in incoming. */
export interface NamedDrop {
  /**
   * Names in the directory, sorted: the given one and everything that it needs. Missing files are left for
   * FETCH to report.
   */
  entries: string[];
  /** Path of its job.toml relative to the directory; null without one. */
  options: string | null;
}

const MAX_FILES = 10_000;

/**
 * Returns what belongs to `name` in `directory`: a descriptor's extents, a delta's parents, the disks of a
 * .vmx or .ovf, the manifest, the job.toml. Only files that are referenced are opened; other images in the
 * directory do not belong to this VM. Rejects with the system's error if `name` does not exist.
 */
export async function namedDrop(directory: string, name: string): Promise<NamedDrop> {
  const status = await lstat(join(directory, name));
  const stem = stemOf(name);
  if (status.isDirectory()) {
    const inside = `${name}/job.toml`;
    return { entries: [name], options: (await exists(join(directory, inside))) ? inside : null };
  }
  const entries = new Set<string>();
  const queue = [name];
  for (let next = queue.pop(); next !== undefined && entries.size < MAX_FILES; next = queue.pop()) {
    if (entries.has(next)) continue;
    entries.add(next);
    const { needs, uses = [] } = await probeIncoming(directory, next);
    for (const needed of [...needs, ...uses])
      for (const file of await filesOf(directory, needed)) if (!entries.has(file)) queue.push(file);
  }
  const companions = /\.ovf$/i.test(name) ? [`${stem}.mf`, `${stem}.cert`] : [];
  const options = `${stem}.job.toml`;
  for (const companion of [...companions, options])
    if (await exists(join(directory, companion))) entries.add(companion);
  // FETCH refuses what is not whole.
  for (const file of [...entries])
    for (const ending of PARTIAL_ENDINGS)
      if (await exists(join(directory, file + ending))) entries.add(file + ending);
  return { entries: [...entries].sort(compareNames), options: entries.has(options) ? options : null };
}

/** The file of that name, or its numbered pieces. */
async function filesOf(directory: string, name: string): Promise<string[]> {
  if (await exists(join(directory, name))) return [name];
  const pieces: string[] = [];
  for (let number = 0; number < MAX_FILES; number++) {
    const piece = pieceName(name, number);
    if (!(await exists(join(directory, piece)))) break;
    pieces.push(piece);
  }
  return pieces;
}
