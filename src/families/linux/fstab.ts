import { Hyper2kvmError } from '../../errors/error.js';
import { filesystemsNamed, isUnstableName } from '../../guest/device-names.js';
import { type FstabLine, mayBeAbsent, parseFstab } from '../../guest/fstab.js';
import { decodeText } from '../../guest/tree.js';
import type { Warning } from '../../model/plan.js';
import { unproven } from '../../operations/prove-outcomes.js';
import { mapLines } from '../../text/lines.js';
import { rewriteFile } from '../base/edit.js';
import type { FixedGuest, Fixer, Guest } from '../base/fixer.js';
import { namesInCrypttab } from './crypttab.js';
import { stableMountOptions, unstableOption } from './mount-options.js';
import { isNamed, namesOfLine } from './nofail.js';
import { copiesOf, stabilise } from './stable-names.js';

const NAME = 'fstab';
const PATH = '/etc/fstab';

/**
 * The system does not come up without these: a guess or `nofail` would only delay the failure until the boot.
 */
const SYSTEM_MOUNTPOINTS = new Set(['/', '/boot', '/usr', '/var']);
export const isSystemMountpoint = (path: string): boolean => SYSTEM_MOUNTPOINTS.has(path);
/** Drives with removable media keep their names, because nothing stable identifies them. */
const REMOVABLE_TYPES = /(^|,)(iso9660|udf)(,|$)/;

export const fstab: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'Lines of /etc/fstab that name a disk by its place on the old hypervisor (/dev/sdXN, /dev/disk/by-path, by-id) get the UUID of the filesystem or swap area; options that name one (device=, journal_path=, logdev=, rtdev=, x-systemd.requires=) get a path by UUID or PARTUUID. Columns, comments and order stay; stable, network and virtual filesystems are not touched. A data mount that cannot be identified gets nofail and a warning; so does one that fix.nofail names.',
  plan(guest) {
    const warnings: Warning[] = [];
    const reason = 'device names of the old hypervisor do not exist on KVM; UUIDs do';
    const operations = rewriteFile(guest.tree, PATH, { fixer: NAME, reason }, (text) => {
      const parsed = parseFstab(text);
      const entries = new Map(parsed.map((entry) => [entry.index, entry]));
      const excused = excusedLines(parsed, guest);
      return mapLines(text, (line, index) => {
        const entry = entries.get(index);
        if (entry === undefined || entry.type === '') return line;
        const fixed = fixEntry(entry, guest, warnings);
        return excused.has(index) ? excuse(fixed, warnings) : fixed;
      });
    });
    return { operations, warnings };
  },
  proof: {
    paths: ({ tree }) => (tree.text(PATH) === null ? [] : [PATH]),
    check: ({ before, after, read }) => (after.tree.text(PATH) === null ? [] : [check(before, read(PATH))]),
  },
};

/**
 * Returns the proof for fstab(5): each written line has at least spec, file and type, and no unstable name,
 * except for removable media and on lines that may fail (`nofail`, `noauto`).
 */
function check(before: FixedGuest['before'], content: Buffer | null): string {
  if (content === null) throw unproven(PATH, 'it does not exist');
  const old = new Set(before.text(PATH)?.text.split('\n'));
  const entries = parseFstab(decodeText(content).text).filter(
    (entry) => entry.type !== '' || !old.has(entry.text),
  );
  for (const entry of entries) {
    const { spec, mountpoint, type } = entry;
    if (type === '') throw unproven(PATH, `it has the malformed line ${entry.text}`);
    if (isUnstableName(spec) && !mayBeAbsent(entry) && !REMOVABLE_TYPES.test(type))
      throw unproven(PATH, `${mountpoint} is still mounted from ${spec}`);
    const option = entry.options.find((other) => unstableOption(other) !== null);
    if (option !== undefined && !mayBeAbsent(entry) && !REMOVABLE_TYPES.test(type))
      throw unproven(PATH, `${mountpoint} is still mounted with ${option}`);
  }
  return `/etc/fstab parses: ${entries.length} entries, no unstable device name`;
}

function fixEntry(entry: FstabLine, guest: Guest, warnings: Warning[]): string {
  if (REMOVABLE_TYPES.test(entry.type)) return entry.text;
  return fixSpec(fixOptions(entry, guest, warnings), guest, warnings);
}

/** Returns the entry with stable names in its options, and with `nofail` if one of them cannot be resolved. */
function fixOptions(entry: FstabLine, guest: Guest, warnings: Warning[]): FstabLine {
  const { spec, mountpoint } = entry;
  const unresolved: string[] = [];
  const options = stableMountOptions(entry.options, guest, (_, option) => unresolved.push(option));
  const fixed = withOptions(entry, options);
  if (unresolved.length === 0) return fixed;
  const what = `${unresolved.join(', ')} (${spec} ${mountpoint})`;
  if (isSystemMountpoint(mountpoint)) throw unresolvedError(what, PATH);
  const message = `${what} is on none of the VM's disks: the line was kept, with nofail`;
  warnings.push({ fixer: NAME, code: 'fstab.unresolved', message });
  return mayBeAbsent(fixed) ? fixed : withOptions(fixed, [...fixed.options, 'nofail']);
}

/**
 * Returns the lines that fix.nofail names. A name that was cut on a console counts if only one line can be meant.
 */
function excusedLines(entries: readonly FstabLine[], { tree, options }: Guest): Set<number> {
  const names = options.nofail.flatMap((name) => [name, ...namesInCrypttab(tree, name)]);
  const lines = names.map((name) =>
    entries.filter(
      (entry) =>
        entry.type !== '' && !isSystemMountpoint(entry.mountpoint) && isNamed(name, namesOfLine(entry)),
    ),
  );
  return new Set(lines.flatMap((found) => (found.length === 1 ? found.map(({ index }) => index) : [])));
}

/** Gives a line nofail, with a warning. */
function excuse(line: string, warnings: Warning[]): string {
  const [entry] = parseFstab(line);
  if (entry === undefined || mayBeAbsent(entry)) return line;
  const place = entry.type === 'swap' ? 'a swap area' : entry.mountpoint;
  const message = `${entry.spec} (${place}) got nofail, because fix.nofail names it: the guest starts without it`;
  warnings.push({ fixer: NAME, code: 'fstab.nofail', message });
  return withNofail(entry);
}

function withOptions(entry: FstabLine, options: string[]): FstabLine {
  const [spec, place, type, column] = entry.columns;
  if (column === undefined || options.join(',') === entry.options.join(',')) return entry;
  const text = entry.text.slice(0, column.start) + options.join(',') + entry.text.slice(column.end);
  const end = column.start + options.join(',').length;
  const columns = [spec, place, type, { start: column.start, end }] as FstabLine['columns'];
  return { ...entry, text, options, columns };
}

function fixSpec(entry: FstabLine, guest: Guest, warnings: Warning[]): string {
  const { spec, mountpoint, type } = entry;
  if (!isUnstableName(spec)) {
    // INSPECT has already told apart the copies of what the system is on.
    const named = mountpoint.startsWith('/') ? filesystemsNamed(spec, guest.identity) : [];
    if (named.length > 1)
      warnings.push(
        duplicate(
          spec,
          mountpoint,
          named.map(({ device }) => device),
        ),
      );
    return entry.text;
  }
  const stable = stabilise(spec, guest, hintOf(entry));
  if (stable !== null) return replaceSpec(entry, stable);
  const isSystem = isSystemMountpoint(mountpoint);
  const copies = copiesOf(spec, guest);
  if (isSystem && copies.length > 0) throw duplicateError(`${spec} (${mountpoint})`, copies);
  if (isSystem) throw unresolvedError(`${spec} (${mountpoint})`, PATH);
  const place = type === 'swap' ? 'a swap area' : mountpoint;
  const why =
    copies.length > 0
      ? `has no name that ${copies.join(' and ')} do not share`
      : "is on none of the VM's disks";
  const message = `${spec} (${place}) ${why}: the line was kept, with nofail`;
  warnings.push({ fixer: NAME, code: 'fstab.unresolved', message });
  return withNofail(entry);
}

/** Returns the error for a device in the file at `path` that the system does not start without. */
export function unresolvedError(what: string, path: string): Hyper2kvmError {
  return new Hyper2kvmError('plan.fstab-unresolved', `cannot tell which filesystem ${what} is`, {
    advice: `Replace it by UUID= in the guest’s ${path} before the conversion, or drop all disks of the VM together.`,
  });
}

function duplicate(spec: string, mountpoint: string, devices: readonly string[]): Warning {
  const message = `${spec} (${mountpoint}) is on ${devices.join(' and ')}: as before, either of them may be mounted. Give the copy another UUID`;
  return { fixer: NAME, code: 'fstab.duplicate-uuid', message };
}

/** The system boots from something that has a copy in the same VM, and no name tells them apart. */
export function duplicateError(what: string, copies: readonly string[]): Hyper2kvmError {
  return new Hyper2kvmError(
    'plan.duplicate-uuid',
    `${what} has no name that survives the move: ${copies.join(' and ')} are copies of each other`,
  );
}

type Column = FstabLine['columns'][number];

function hintOf({ mountpoint, type }: FstabLine) {
  return mountpoint.startsWith('/') ? { mountpoint, type } : { type };
}

/**
 * Replaces the device name and takes the difference in length from the blanks behind it, so that aligned
 * columns stay aligned where there is room.
 */
function replaceSpec({ text, columns }: FstabLine, stable: string): string {
  const [spec, next] = columns as [Column, Column];
  const gap = text.slice(spec.end, next.start);
  // One blank separates; several align.
  const isAligned = /^ {2,}$/.test(gap);
  const blanks = ' '.repeat(Math.max(1, next.start - spec.start - stable.length));
  return text.slice(0, spec.start) + stable + (isAligned ? blanks : gap) + text.slice(next.start);
}

/** Adds `nofail` to the options; a line without options gets `defaults,nofail`. */
function withNofail(entry: FstabLine): string {
  const { text, options, columns } = entry;
  if (options.length === 0) return `${text.trimEnd()} defaults,nofail`;
  if (mayBeAbsent(entry)) return text;
  const { end } = columns.at(-1) as Column;
  return `${text.slice(0, end)},nofail${text.slice(end)}`;
}
