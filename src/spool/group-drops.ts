import { compareNames, refusedName } from '../disk/base/names.js';
import { finalName } from '../disk/base/partial-names.js';
import { pieceOf } from '../disk/base/pieces.js';
import { formatOfExtension } from '../disk/formats.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import { eachInTurns, sortInTurns, Turns } from '../host/turns.js';
import type { Drop, Grouping, HeaderFacts, IncomingEntry, Probe, Waiting } from '../model/drop.js';
import { printable } from '../text/escape-terminal.js';
import { attach, attachJobs, holdBack } from './attach-files.js';
import { diskStem, isHidden, isOfVm, stemOf, vmName } from './names.js';

/** Created by fsck if incoming is a filesystem of its own. */
const LOST_AND_FOUND = 'lost+found';

/** Files that come with a VM but are not disks: they belong to the drop with the disk of the same name. */
const COMPANION =
  /(-ctk\.vmdk|\.(vmx|vmxf|vmsd|vbox|vbox-prev|sav|vmsn|vmss|vmem|nvram|ovf|mf|cert|log|txt|md5|sha1|sha256|sha512|xml))$/i;

/** How many of the missing files are named. */
const MAX_NAMED = 5;
/** Enough of them to find the first few by name. */
const MAX_SORTED = 1000;
/** Stands for several children; not a possible file name. */
const SEVERAL = '/';
/** FETCH refuses a drop with more files, so no more need to be examined before. */
const MAX_FILES = 10_000;

interface File {
  name: string;
  facts: HeaderFacts;
}

/**
 * Decides which entries of incoming belong together: a directory is one drop; loose files that need each
 * other (descriptor and extents, a chain, a .vmx and its disks) are one; every other disk is a drop by
 * itself. Pure over the listing and what `probe` says of each file's header. `isDue` decides when a drop may
 * be claimed.
 *
 * A base disk that is dropped long before its deltas is complete by itself, so it is claimed. To avoid that,
 * drop a chain within `settle_seconds`, in a directory, or with its .vmx (which names the disk in use) or its
 * .vmsd (which names the disks that a snapshot froze): then it waits. A delta that is still being written
 * under a partial name (`web01-000001.vmdk.part`) makes its base wait.
 */
export async function groupDrops(entries: readonly IncomingEntry[], probe: Probe): Promise<Grouping> {
  const sorted = await sortInTurns([...entries], byName);
  const turns = new Turns();
  const ignored: Grouping['ignored'] = [];
  const drops: Drop[] = [];
  const jobs: string[] = [];
  const partials: { name: string; final: string }[] = [];
  const companions: string[] = [];
  const frozen = new Set<string>();
  const files: File[] = [];
  for (const entry of sorted) {
    const { name, type } = entry;
    const final = finalName(name);
    if (turns.isOver()) await turns.next();
    if (name === LOST_AND_FOUND && type === 'directory') ignored.push({ name, reason: 'of-the-filesystem' });
    else if (entry.problem !== undefined) drops.push(unreadableDrop(name, entry.problem));
    else if (isHidden(name)) ignored.push({ name, reason: 'hidden' });
    else if (final !== null) {
      ignored.push({ name, reason: 'partial' });
      partials.push({ name, final });
    } else if (type !== 'file' && type !== 'directory') drops.push(refusedDrop(name, [name], name, type));
    else if (type === 'directory') drops.push(await directoryDrop(entry, probe));
    else if (name.endsWith('.job.toml')) jobs.push(name);
    else {
      const facts = await probe(name);
      if (isCandidate(name, facts)) files.push({ name, facts });
      else companions.push(name);
      for (const disk of facts.frozen ?? []) frozen.add(disk);
    }
  }
  await eachInTurns(await components(files), (component) => drops.push(looseDrop(component, frozen)));
  await attach(
    companions,
    drops,
    (name) => COMPANION.test(name),
    (name) => ignored.push({ name, reason: 'not-a-disk' }),
  );
  for (const name of await attachJobs(jobs, drops)) {
    if (turns.isOver()) await turns.next();
    if ((await probe(name)).kind === 'order') drops.push(orderDrop(name));
    else ignored.push({ name, reason: 'job-without-disk' });
  }
  await holdBack(partials, drops);
  for (const drop of drops) if (drop.entries.length > 1) await sortInTurns(drop.entries, compareNames);
  return { drops: await sortInTurns(drops, byName), ignored };
}

const byName = (a: { name: string }, b: { name: string }) => compareNames(a.name, b.name);

/**
 * Everything that claims to be a disk is a drop, even if it is not one: FETCH then reports why, instead of
 * leaving it there without a message.
 */
function isCandidate(name: string, facts: HeaderFacts): boolean {
  if (facts.kind === 'disk' || facts.kind === 'extent' || facts.kind === 'description') return true;
  return formatOfExtension(name) !== null || (facts.kind === 'unreadable' && /\.(vmx|ovf)$/i.test(name));
}

/** Returns the connected components over "needs", "is the parent of" and "is a piece of the same disk". */
async function components(files: readonly File[]): Promise<File[][]> {
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
  const result = new Map<string, File[]>();
  await eachInTurns(files, (file) => {
    const root = find(file.name);
    const own = result.get(root);
    if (own === undefined) result.set(root, [file]);
    else own.push(file);
  });
  return [...result.values()];
}

/** What a first piece (`disk.vmdk.000000000`) stands for. */
function wholeOf(name: string): { whole: string; name: string }[] {
  const piece = pieceOf(name);
  return piece?.number === 0 ? [{ whole: piece.whole, name }] : [];
}

/**
 * Returns the names of the disks with each content id, at most three: it only matters whether there is one,
 * or exactly one other.
 */
async function disksById(files: readonly File[]): Promise<Map<string, string[]>> {
  const byId = new Map<string, string[]>();
  await eachInTurns(files, ({ name, facts }) => {
    if (facts.kind !== 'disk' || facts.contentId === null) return;
    const names = byId.get(facts.contentId);
    if (names === undefined) byId.set(facts.contentId, [name]);
    else if (names.length < 3) names.push(name);
  });
  return byId;
}

function onlyOther(names: readonly string[] | undefined, self: string): string | undefined {
  const others = (names ?? []).filter((name) => name !== self);
  return others.length === 1 ? others[0] : undefined;
}

function missingOf(facts: HeaderFacts, present: { has(name: string): boolean }): string[] {
  return facts.needs.filter((name) => !present.has(name));
}

/** A job.toml whose VM is elsewhere. */
function orderDrop(name: string): Drop {
  return { name, vm: vmName(stemOf(name)), entries: [name], options: name, waiting: null, refused: null };
}

function looseDrop(files: readonly File[], frozen: ReadonlySet<string>): Drop {
  const name = representative(files);
  return {
    name,
    vm: vmName(stemOf(name)),
    entries: files.map((file) => file.name),
    options: null,
    waiting: waiting(files, frozen),
    refused: null,
  };
}

/**
 * Returns the file that the VM is named after: the .vmx, otherwise the base of the chain, otherwise the first
 * name.
 */
function representative(files: readonly File[]): string {
  const description = files.find(({ facts }) => facts.kind === 'description');
  const disks = new Set(files.flatMap(({ name, facts }) => (facts.kind === 'disk' ? [name] : [])));
  // A qcow2 child has no parent id, but needs another disk.
  const base = files.find(
    ({ facts }) =>
      facts.kind === 'disk' && facts.parentId === null && !facts.needs.some((needed) => disks.has(needed)),
  );
  return (description ?? base ?? files[0]!).name;
}

function waiting(files: readonly File[], frozen: ReadonlySet<string>): Waiting | null {
  if (files.length > MAX_FILES) return null;
  const reason = missingFiles(files) ?? missingDelta(files, frozen) ?? unfinished(files);
  if (reason !== null) return reason;
  const unchecked = files.find(({ facts }) => facts.isUnchecked === true);
  return unchecked === undefined ? null : { kind: 'unchecked', names: [unchecked.name] };
}

function missingFiles(files: readonly File[]): Waiting | null {
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
function missingDelta(files: readonly File[], frozen: ReadonlySet<string>): Waiting | null {
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

function missingOne(what: 'descriptor' | 'delta', { name }: File): Waiting {
  return { kind: 'missing', what, names: [name], more: 0 };
}

function unfinished(files: readonly File[]): Waiting | null {
  for (const { name, facts } of files) {
    const why = facts.incomplete ?? (facts.kind === 'unreadable' ? 'its header has not arrived' : null);
    if (why !== null) return { kind: 'unfinished', names: [name], why };
  }
  return null;
}

async function directoryDrop(directory: IncomingEntry, probe: Probe): Promise<Drop> {
  const children = (directory.children ?? []).filter(({ name }) => !isHidden(name));
  const special = children.find(({ type }) => type !== 'file' && type !== 'directory');
  if (special !== undefined) {
    const path = `${directory.name}/${special.name}`;
    return refusedDrop(directory.name, [directory.name], path, special.type);
  }
  if (children.length > MAX_FILES) return wholeDirectory(directory, children);
  const files: File[] = [];
  const frozen = new Set<string>();
  const read = async (path: string, name: string) => {
    const facts = await probe(path);
    if (isCandidate(name, facts)) files.push({ name, facts });
    for (const disk of facts.frozen ?? []) frozen.add(disk);
  };
  for (const { name, type } of children) {
    if (type !== 'file' || name.endsWith('.toml') || finalName(name) !== null) continue;
    await read(`${directory.name}/${name}`, name);
  }
  const below = children.flatMap((child) => filesBelow(child, `${directory.name}/${child.name}`));
  // Hyper-V's export has its disks in a subdirectory.
  const isElsewhere = !files.some(({ facts }) => facts.kind !== 'description');
  for (const { path, name } of isElsewhere ? below.slice(0, MAX_FILES) : [])
    if (finalName(name) === null) await read(path, name);
  // VirtualBox has the deltas of a frozen disk in a folder below it, where other VMs may be too.
  for (const { path, name } of !isElsewhere && frozen.size > 0 ? below.slice(0, MAX_FILES) : []) {
    if (finalName(name) !== null) continue;
    const facts = await probe(path);
    if (facts.kind === 'disk' && facts.parentId !== null) files.push({ name, facts });
  }
  const state: Waiting | null =
    partialIn([...children, ...below].map(({ name }) => name)) ??
    (files.some(({ facts }) => facts.kind !== 'description')
      ? waiting(files, frozen)
      : { kind: 'no-disk', names: [] });
  return { ...wholeDirectory(directory, children), waiting: state };
}

/** Anything but a disk or a description may be left over for good, so the drop does not wait for it forever. */
function partialIn(names: readonly string[]): Waiting | null {
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

function filesBelow({ children = [] }: IncomingEntry, path: string): { path: string; name: string }[] {
  return children
    .filter(({ name }) => !isHidden(name))
    .flatMap((child) => {
      const own = `${path}/${child.name}`;
      return child.type === 'file' ? [{ path: own, name: child.name }] : filesBelow(child, own);
    });
}

/** Returns a directory as a drop without reading any file in it. */
function wholeDirectory({ name }: IncomingEntry, children: readonly IncomingEntry[]): Drop {
  return {
    name,
    vm: vmName(name),
    entries: [name],
    options: children.some((child) => child.name === 'job.toml') ? `${name}/job.toml` : null,
    waiting: null,
    refused: null,
  };
}

function unreadableDrop(name: string, problem: ErrorRecord): Drop {
  return {
    name,
    vm: vmName(stemOf(name)),
    entries: [name],
    options: null,
    waiting: null,
    refused: null,
    problem,
  };
}

function refusedDrop(name: string, entries: string[], path: string, type: IncomingEntry['type']): Drop {
  const error = type === 'unnamed' ? refusedName(path) : refusedKind(path, type);
  return {
    name,
    vm: vmName(stemOf(name)),
    entries,
    options: null,
    waiting: null,
    refused: errorRecord(error),
  };
}

function refusedKind(path: string, type: IncomingEntry['type']): Hyper2kvmError {
  const what = type === 'symlink' ? 'a symbolic link' : 'a FIFO, a socket or a device';
  return new Hyper2kvmError('fetch.refused-special', `${printable(path)} is ${what}`);
}
