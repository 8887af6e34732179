import { compareNames } from '../disk/base/names.js';
import { finalName } from '../disk/base/partial-names.js';
import { pieceOf } from '../disk/base/pieces.js';
import type { Waiting } from '../model/drop.js';
import { type LooseFile, missingOf, onlyOther, wholeOf } from './loose-file.js';
import { isOfVm } from './names.js';

/** FETCH refuses a drop with more files, so no more need to be examined before. */
export const MAX_FILES = 10_000;
/** How many of the missing files are named. */
const MAX_NAMED = 5;
/** Enough of them to find the first few by name. */
const MAX_SORTED = 1000;
/** Stands for several children; not a possible file name. */
const SEVERAL = '/';

/** Returns what the files of one drop still wait for; null if they are whole. */
export function missingIn(files: readonly LooseFile[], frozen: ReadonlySet<string>): Waiting | null {
  if (files.length > MAX_FILES) return null;
  const reason = missingFiles(files) ?? missingDelta(files, frozen) ?? unfinished(files);
  if (reason !== null) return reason;
  const unchecked = files.find(({ facts }) => facts.isUnchecked === true);
  return unchecked === undefined ? null : { kind: 'unchecked', names: [unchecked.name] };
}

function missingFiles(files: readonly LooseFile[]): Waiting | null {
  const names = new Set(files.flatMap(({ name }) => [name, ...wholeOf(name).map(({ whole }) => whole)]));
  const byId = new Map<string, string[]>();
  for (const { name, facts } of files) {
    const own = facts.contentId === null ? undefined : byId.get(facts.contentId);
    if (own !== undefined && own.length < 3) own.push(name);
    else if (own === undefined && facts.contentId !== null) byId.set(facts.contentId, [name]);
  }
  const missing = new Set<string>();
  for (const { name, facts } of files) {
    const isParentRenamed =
      facts.parentId !== null && onlyOther(byId.get(facts.parentId), name) !== undefined;
    for (const needed of missingOf(facts, names)) if (!isParentRenamed) missing.add(needed);
  }
  if (missing.size > 0) {
    const names = [...missing].slice(0, MAX_SORTED).sort(compareNames).slice(0, MAX_NAMED);
    return { kind: 'missing', what: 'files', names, more: missing.size - names.length };
  }
  const listed = new Set(files.flatMap(({ facts }) => [...facts.needs, ...(facts.uses ?? [])]));
  const orphan = files.find(
    ({ name, facts }) => facts.kind === 'extent' && pieceOf(name) === null && !listed.has(name),
  );
  return orphan === undefined ? null : missingOne('descriptor', orphan);
}

/**
 * Returns a disk that a snapshot froze and that no file here builds on: its deltas have yet to arrive. With a
 * .vmx, that decides which state is in use.
 */
function missingDelta(files: readonly LooseFile[], frozen: ReadonlySet<string>): Waiting | null {
  if (frozen.size === 0 || files.some(({ facts }) => facts.kind === 'description')) return null;
  const disks = files.filter(({ facts }) => facts.kind === 'disk');
  const needed = new Set(disks.flatMap(({ name, facts }) => facts.needs.filter((other) => other !== name)));
  const children = new Map<string, string>();
  for (const { name, facts } of disks) {
    if (facts.parentId === null) continue;
    // Counts children other than the disk itself.
    const isOwn = (other: string | undefined) => other === undefined || other === name;
    children.set(facts.parentId, isOwn(children.get(facts.parentId)) ? name : SEVERAL);
  }
  const base = files.find(({ name, facts }) => {
    const child = facts.contentId === null ? undefined : children.get(facts.contentId);
    return frozen.has(name) && !needed.has(name) && (child === undefined || child === name);
  });
  return base === undefined ? null : missingOne('delta', base);
}

function missingOne(what: 'descriptor' | 'delta', { name }: LooseFile): Waiting {
  return { kind: 'missing', what, names: [name], more: 0 };
}

function unfinished(files: readonly LooseFile[]): Waiting | null {
  for (const { name, facts } of files) {
    const why = facts.incomplete ?? (facts.kind === 'unreadable' ? 'its header has not arrived' : null);
    if (why !== null) return { kind: 'unfinished', names: [name], why };
  }
  return null;
}

/** Returns what is still being written among these names. Anything but a disk or a description may be left over for good, so the drop does not wait for it forever. */
export function partialIn(names: readonly string[]): Waiting | null {
  const partials = names.flatMap((name) => {
    const final = finalName(name);
    return final === null ? [] : [{ name, final }];
  });
  const needed = partials.find(({ final }) => isOfVm(final));
  if (needed !== undefined) return { kind: 'writing', names: [needed.final], shownBy: needed.name };
  const [other] = partials;
  if (other === undefined) return null;
  return { kind: 'unfinished', names: [other.name], why: 'it may still be written' };
}
