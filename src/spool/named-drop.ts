import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareNames } from '../disk/base/names.js';
import { PARTIAL_ENDINGS } from '../disk/base/partial-names.js';
import { pieceOf } from '../disk/base/pieces.js';
import { exists } from '../files/exists.js';
import { probeIncoming } from './header-facts.js';
import { stemOf } from './names.js';

/** A drop that was named by a path instead of being found in incoming. */
export interface NamedDrop {
  /**
   * Names in the directory, sorted: the given one and everything that it needs. Missing files are left for
   * FETCH to report. Those in a folder below have a path.
   */
  entries: string[];
  /** Path of its job.toml relative to the directory; null without one. */
  options: string | null;
}

const MAX_FILES = 10_000;
/** In a directory with more, disks are not looked for below it. */
const MAX_FOLDERS = 100;

/**
 * Returns what belongs to `name` in `directory`: a descriptor's extents, a delta's parents, the disks of a
 * .vmx or .ovf, the other pieces of a file, the manifest, the job.toml. Only files that are referenced are opened; other images in the
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
  const pieces = new Pieces(directory);
  const queue = await pieces.with(name);
  for (let next = queue.pop(); next !== undefined && entries.size < MAX_FILES; next = queue.pop()) {
    if (entries.has(next)) continue;
    entries.add(next);
    const { needs, uses = [] } = await probeIncoming(directory, next);
    for (const needed of [...needs, ...uses])
      for (const file of await pieces.of(needed)) if (!entries.has(file)) queue.push(file);
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

/**
 * Finds the files that a name stands for: the file itself, otherwise all of its numbered pieces, otherwise the only
 * file of that name in a folder below.
 */
class Pieces {
  readonly #directory: string;
  #byWhole: Map<string, string[]> | null = null;
  #folders: string[] | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async of(name: string): Promise<string[]> {
    if (await exists(join(this.#directory, name))) return [name];
    this.#byWhole ??= await this.#read();
    return this.#byWhole.get(name) ?? (await this.#below(name));
  }

  /** Returns the file of that name in a folder below, if only one of them has it. */
  async #below(name: string): Promise<string[]> {
    this.#folders ??= (await readdir(this.#directory, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map((entry) => entry.name)
      .slice(0, MAX_FOLDERS);
    const found: string[] = [];
    for (const folder of this.#folders)
      if (await exists(join(this.#directory, folder, name))) found.push(`${folder}/${name}`);
    return found.length === 1 ? found : [];
  }

  /** Returns a named piece with all others of its file: FETCH finds out which of them are missing. */
  async with(name: string): Promise<string[]> {
    const files = await this.of(pieceOf(name)?.whole ?? name);
    return files.includes(name) ? files : [name];
  }

  async #read(): Promise<Map<string, string[]>> {
    const byWhole = new Map<string, string[]>();
    for (const name of await readdir(this.#directory)) {
      const whole = pieceOf(name)?.whole;
      if (whole === undefined) continue;
      const known = byWhole.get(whole);
      if (known === undefined) byWhole.set(whole, [name]);
      else known.push(name);
    }
    return byWhole;
  }
}
