import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';

/**
 * Returns the plain name of the file that a reference in a header or a description stands for. References
 * carry the paths of the machine that made them (`[datastore1] web01/web01.vmdk`, `C:\\VMs\\web01.vmdk`,
 * `/vmfs/volumes/…/web01.vmdk`): only the last component counts, and only a file of the drop may have it.
 * Throws `fetch.refused-reference` for what does not name a file: a protocol, control characters.
 */
export function referencedName(reference: string, referrer: string): string {
  if (/^[A-Za-z][A-Za-z0-9+.-]+:/.test(reference))
    throw refusedReference(reference, referrer, 'names a protocol, not a file');
  if (/[\u0000-\u001f\u007f]/.test(reference))
    throw refusedReference(reference, referrer, 'has control characters');
  const name = withoutDatastore(reference).split(/[/\\]/).at(-1) ?? '';
  if (name === '' || name === '.' || name === '..')
    throw refusedReference(reference, referrer, 'does not name a file');
  if (Buffer.byteLength(name) > 255)
    throw refusedReference(reference, referrer, 'is longer than a file name can be');
  return name;
}

export function isPath(reference: string): boolean {
  return /[/\\]/.test(reference);
}

export function refusedReference(reference: string, referrer: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError(
    'fetch.refused-reference',
    `${printable(referrer)} refers to “${printable(reference)}”, which ${why}`,
  );
}

/**
 * Returns the name of a file inside an archive: `./web01/web01.ovf` is `web01/web01.ovf`. Throws
 * `fetch.refused-reference` for a name that leads out of it.
 */
export function archiveName(written: string): string {
  const parts = written.split(/[/\\]/).filter((part) => part !== '' && part !== '.');
  const isInvalid = (part: string) => Buffer.byteLength(part) > 255 || /[\u0000-\u001f\u007f]/.test(part);
  if (
    /^([A-Za-z]:|[/\\])/.test(written) ||
    parts.length === 0 ||
    parts.includes('..') ||
    parts.some(isInvalid)
  )
    throw refusedReference(written, 'the archive', 'is not the name of a file inside it');
  return parts.join('/');
}

function withoutDatastore(reference: string): string {
  return reference.replace(/^\[[^\]]*\]\s*/, '');
}

/**
 * The files of a drop, found by the names that other files use. Names are paths inside the drop, with `/`.
 */
export class NameIndex {
  readonly #names: Set<string>;
  /**
   * By names that filesystems may treat as the same path, and by plain names; null if several files match.
   */
  readonly #byPath = new Map<string, string | null>();
  readonly #byBase = new Map<string, string | null>();

  constructor(names: Iterable<string>) {
    this.#names = new Set(names);
    for (const name of this.#names) {
      addTo(this.#byPath, keysOf(name), name);
      addTo(this.#byBase, keysOf(name.slice(name.lastIndexOf('/') + 1)), name);
    }
  }

  /**
   * Returns the file that `reference` means if it is written in `referrer` (a name of the drop): the path
   * below the referrer's directory, otherwise the plain name beside it, otherwise the only file of the drop
   * with this name. Null if there is none. Throws like `referencedName`.
   */
  find(reference: string, referrer: string): string | null {
    const base = referencedName(reference, referrer);
    const folder = referrer.slice(0, referrer.lastIndexOf('/') + 1);
    const path = pathBelow(reference);
    const beside = [...(path === null ? [] : [folder + path]), folder + base];
    for (const name of beside) if (this.#names.has(name)) return name;
    for (const name of beside) {
      const alike = this.#byPath.get(folded(name));
      if (alike != null) return alike;
    }
    return this.#byBase.get(base) ?? this.#byBase.get(folded(base)) ?? null;
  }
}

function addTo(index: Map<string, string | null>, keys: Iterable<string>, name: string): void {
  for (const key of keys) index.set(key, index.has(key) ? null : name);
}

function keysOf(name: string): Set<string> {
  return new Set([name, folded(name), folded(percentDecoded(name))]);
}

/**
 * Decodes a name from a URI: `web%2001.vmdk`. Programs that do not escape percent signs mean it literally.
 */
export function percentDecoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/**
 * Folds what filesystems treat as equal: Windows ignores case, and macOS stores accented letters decomposed.
 */
function folded(name: string): string {
  return name.normalize('NFC').toLowerCase();
}

/** Returns a relative path without `.` and `..`; null for any other path. */
function pathBelow(reference: string): string | null {
  if (/^([A-Za-z]:|[/\\])/.test(reference)) return null;
  const parts = withoutDatastore(reference)
    .split(/[/\\]/)
    .filter((part) => part !== '' && part !== '.');
  return parts.includes('..') ? null : parts.join('/');
}

/**
 * Compares names the way people sort disks: `web01-s2` before `web01-s10`, independent of the host's locale.
 * Runs of digits compare as numbers, everything between them as text. Allocates nothing before the first
 * difference, because thousands of names of 255 bytes are sorted before a drop is claimed.
 */
export function compareNames(left: string, right: string): number {
  let at = 0;
  const shorter = Math.min(left.length, right.length);
  while (at < shorter && left.charCodeAt(at) === right.charCodeAt(at)) at += 1;
  if (at === left.length && at === right.length) return 0;
  // The run with the difference starts before it if either text continues that run.
  const continues = (text: string) => at < text.length && isDigit(text, at) === isDigit(text, at - 1);
  if (at > 0 && (continues(left) || continues(right))) {
    const kind = isDigit(left, at - 1);
    while (at > 0 && isDigit(left, at - 1) === kind) at -= 1;
  }
  const [a, b] = [runAt(left, at), runAt(right, at)];
  if (a === b) return left.length - right.length;
  const numeric = isDigit(a, 0) && isDigit(b, 0) ? Number(a) - Number(b) : 0;
  if (numeric !== 0) return numeric;
  return a < b ? -1 : 1;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0x30 && code <= 0x39;
}

function runAt(text: string, start: number): string {
  let end = start;
  const kind = isDigit(text, start);
  while (end < text.length && isDigit(text, end) === kind) end += 1;
  return text.slice(start, end);
}

/** Node replaces invalid UTF-8 in names by U+FFFD, so such a file can be listed but not opened. */
export function isNotUtf8(name: string): boolean {
  return name.includes('\ufffd');
}

export function refusedName(path: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.refused-name', `${printable(path)} has a name that is not UTF-8`);
}
