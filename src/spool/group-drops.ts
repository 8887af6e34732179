import { compareNames } from '../disk/base/names.js';
import { finalName } from '../disk/base/partial-names.js';
import { formatOfExtension } from '../disk/formats.js';
import { eachInTurns, sortInTurns, Turns } from '../host/turns.js';
import type { Drop, Grouping, HeaderFacts, IncomingEntry, Probe, Waiting } from '../model/drop.js';
import { vmName } from '../model/vm-name.js';
import { attach, attachJobs, holdBack } from './attach-files.js';
import { connectedFiles } from './connected-files.js';
import { MAX_FILES, missingIn, partialIn } from './incomplete.js';
import type { LooseFile } from './loose-file.js';
import { isHidden, stemOf } from './names.js';
import { refusedDrop, unreadableDrop } from './refused-drop.js';

/** Created by fsck if incoming is a filesystem of its own. */
const LOST_AND_FOUND = 'lost+found';

/** Files that come with a VM but are not disks: they belong to the drop with the disk of the same name. */
const COMPANION =
  /(-ctk\.vmdk|\.(vmx|vmxf|vmsd|vbox|vbox-prev|sav|vmsn|vmss|vmem|nvram|ovf|mf|cert|log|txt|md5|sha1|sha256|sha512|xml))$/i;

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
  const files: LooseFile[] = [];
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
  await eachInTurns(await connectedFiles(files), (component) => drops.push(looseDrop(component, frozen)));
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

/** A job.toml whose VM is elsewhere. */
function orderDrop(name: string): Drop {
  return { name, vm: vmName(stemOf(name)), entries: [name], options: name, waiting: null, refused: null };
}

function looseDrop(files: readonly LooseFile[], frozen: ReadonlySet<string>): Drop {
  const name = representative(files);
  return {
    name,
    vm: vmName(stemOf(name)),
    entries: files.map((file) => file.name),
    options: null,
    waiting: missingIn(files, frozen),
    refused: null,
  };
}

/**
 * Returns the file that the VM is named after: the .vmx, otherwise the base of the chain, otherwise the first
 * name.
 */
function representative(files: readonly LooseFile[]): string {
  const description = files.find(({ facts }) => facts.kind === 'description');
  const disks = new Set(files.flatMap(({ name, facts }) => (facts.kind === 'disk' ? [name] : [])));
  // A qcow2 child has no parent id, but needs another disk.
  const base = files.find(
    ({ facts }) =>
      facts.kind === 'disk' && facts.parentId === null && !facts.needs.some((needed) => disks.has(needed)),
  );
  return (description ?? base ?? files[0]!).name;
}

async function directoryDrop(directory: IncomingEntry, probe: Probe): Promise<Drop> {
  const children = (directory.children ?? []).filter(({ name }) => !isHidden(name));
  const special = children.find(({ type }) => type !== 'file' && type !== 'directory');
  if (special !== undefined) {
    const path = `${directory.name}/${special.name}`;
    return refusedDrop(directory.name, [directory.name], path, special.type);
  }
  if (children.length > MAX_FILES) return wholeDirectory(directory, children);
  const files: LooseFile[] = [];
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
      ? missingIn(files, frozen)
      : { kind: 'no-disk', names: [] });
  return { ...wholeDirectory(directory, children), waiting: state };
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
