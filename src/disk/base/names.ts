import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';

/**
 * The plain sibling name that a header's reference stands for. Headers may carry the path of the machine that made them
 * (`[datastore1] web01/web01.vmdk`, `C:\VMs\web01.vmdk`, `/vmfs/volumes/…/web01.vmdk`): with `mode` `hint` the last component counts,
 * because the file is then checked by its content id; with `exact` anything but a plain name is refused.
 * Throws `fetch.refused-reference`.
 */
export function siblingName(reference: string, mode: 'exact' | 'hint', referrer: string): string {
  if (/^[A-Za-z][A-Za-z0-9+.-]+:/.test(reference))
    throw refused(reference, referrer, 'names a protocol, not a file');
  const isPath = /[/\\]/.test(reference);
  if (isPath && mode === 'exact') throw refused(reference, referrer, 'is a path, not a plain name beside it');
  if (isPath && /(^|[/\\])\.\.([/\\]|$)/.test(reference))
    throw refused(reference, referrer, 'leads out of the directory');
  const name =
    mode === 'hint' ? (reference.split(/[/\\]/).at(-1) ?? '').replace(/^\[[^\]]*\]\s*/, '') : reference;
  if (name === '' || name === '.' || name === '..') throw refused(reference, referrer, 'names no file');
  if (Buffer.byteLength(name) > 255) throw refused(reference, referrer, 'is longer than a file name can be');
  if (/[\u0000-\u001f\u007f]/.test(name)) throw refused(reference, referrer, 'has control characters');
  return name;
}

function refused(reference: string, referrer: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError(
    'fetch.refused-reference',
    `${printable(referrer)} refers to “${printable(reference)}”, which ${why}`,
    {
      advice:
        'An image may only refer to files that lie beside it, by their plain names. Copy the file into the drop and correct the reference.',
    },
  );
}

/**
 * Compares names the way people sort disks: `web01-s2` before `web01-s10`, independent of the host's locale. Runs of digits count as numbers, what is between
 * them as text. Allocates nothing before the first difference: thousands of names of 255 bytes are sorted before a drop is claimed.
 */
export function compareNames(left: string, right: string): number {
  let at = 0;
  const shorter = Math.min(left.length, right.length);
  while (at < shorter && left.charCodeAt(at) === right.charCodeAt(at)) at += 1;
  if (at === left.length && at === right.length) return 0;
  // The run that the difference lies in begins before it where it goes on in one of the two.
  const goesOn = (text: string) => at < text.length && isDigit(text, at) === isDigit(text, at - 1);
  if (at > 0 && (goesOn(left) || goesOn(right))) {
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

/** Node gives a name that is not UTF-8 with replacement characters, by which nothing is found again. */
export function isNotUtf8(name: string): boolean {
  return name.includes('\ufffd');
}

export function refusedName(path: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.refused-name', `${printable(path)} has a name that is not UTF-8`, {
    advice: 'Rename it (`convmv -f latin1 -t utf8 --notest FILE`), and drop it again.',
  });
}
