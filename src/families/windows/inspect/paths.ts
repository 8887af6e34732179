import { constants } from 'node:os';
import type { GuestReader } from '../../../access/guest-reader.js';
import { refusedBy } from '../../../access/tolerate.js';
import { upperCase } from '../../../guest/registry/names.js';

const { ENOENT, ENOTDIR, ELOOP } = constants.errno;
const NO_DIRECTORY: readonly (number | null)[] = [ENOENT, ENOTDIR, ELOOP];

/**
 * Paths of one mounted filesystem, whose names compare without case. Each directory is listed once, because
 * every call takes time.
 */
export class WindowsPaths {
  readonly #reader: Pick<GuestReader, 'list'>;
  readonly #names = new Map<string, Promise<string[]>>();

  constructor(reader: Pick<GuestReader, 'list'>) {
    this.#reader = reader;
  }

  /** Returns `path` (`/Windows/System32`) as it is spelled there; null if nothing is there. */
  async find(path: string): Promise<string | null> {
    let found = '';
    for (const name of path.split('/').filter((part) => part !== '')) {
      const real = matching(await this.list(found === '' ? '/' : found), name);
      if (real === undefined) return null;
      found = `${found}/${real}`;
    }
    return found === '' ? '/' : found;
  }

  /** Returns the names in a directory, sorted; empty if it is not one. */
  list(directory: string): Promise<string[]> {
    const known = this.#names.get(directory);
    if (known !== undefined) return known;
    const names = this.#list(directory);
    this.#names.set(directory, names);
    return names;
  }

  async #list(directory: string): Promise<string[]> {
    try {
      return (await this.#reader.list(directory)).toSorted();
    } catch (error) {
      if (NO_DIRECTORY.includes(refusedBy(error).errno)) return [];
      throw error;
    }
  }
}

/** A case-sensitive directory may have several: the same spelling comes first. */
function matching(names: readonly string[], name: string): string | undefined {
  if (names.includes(name)) return name;
  const wanted = upperCase(name);
  return names.find((candidate) => upperCase(candidate) === wanted);
}
