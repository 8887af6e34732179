import { posix } from 'node:path';
import { isUnstableName } from '../../guest/device-names.js';
import type { TreeEntry } from '../../guest/tree.js';
import { escapePath, pathOfUnit } from '../../guest/unit-names.js';
import type { Warning } from '../../model/plan.js';
import type { Operation } from '../../operations/registry.js';
import { putFile, putLink, removeFile, rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { deviceUnit, excusedUnits, MAX_UNIT_BYTES, MAX_UNITS } from './device-units.js';
import { isSystemMountpoint, unresolvedError } from './fstab.js';
import { mountOf, UNITS, unitTexts } from './inspect/mount-table.js';
import { stableMountOptions } from './mount-options.js';
import { editIni, type IniLine, iniValues } from './network/ini.js';
import { stablePath } from './stable-names.js';

const NAME = 'systemd-units';
const REASON = 'a unit waits for a device of the old hypervisor';

export const systemdUnits: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'The administrator’s own units and drop-ins (/etc/systemd/system) that name a disk by its place on the old hypervisor: What= and Options= of mounts and swap areas, conditions on paths, and dependencies on dev-sdXN.device get UUID names. Units, drop-in directories and links that are named after a device (dev-sdb2.swap) are renamed with it. A data mount or swap area that cannot be identified, or that fix.nofail names, gets nofail and a warning, and local-fs.target no longer requires it. Commands that name a device are reported.',
  plan(guest) {
    if (guest.identity.init_system !== 'systemd') return { operations: [], warnings: [] };
    const notes = new Notes(excusedUnits(guest));
    const operations = guest.tree
      .entries()
      .filter(({ path, type }) => path.startsWith(`${UNITS}/`) && type !== 'directory')
      .slice(0, MAX_UNITS)
      .flatMap((entry) => fixEntry(entry, guest, notes));
    return { operations, warnings: notes.warnings };
  },
};

/** Collects warnings without duplicates. */
class Notes {
  readonly warnings: Warning[] = [];
  /** Paths of the units that fix.nofail names. */
  readonly excused: ReadonlySet<string>;

  constructor(excused: readonly string[]) {
    this.excused = new Set(excused);
    for (const path of this.excused)
      this.add(
        'units.nofail',
        `${path} got nofail, because fix.nofail names it: the guest starts without it`,
      );
  }

  unresolved(path: string, device: string, isKept = false): void {
    const what = isKept ? 'the unit was kept, with nofail' : 'it was left unchanged';
    this.add('units.unresolved', `${path} names ${device}, which is on none of the VM's disks: ${what}`);
  }

  command(path: string, device: string): void {
    this.add(
      'units.device-name',
      `${path} uses ${device} in a command or setting: on KVM it has another name`,
    );
  }

  add(code: string, message: string): void {
    if (this.warnings.every((warning) => warning.message !== message))
      this.warnings.push({ fixer: NAME, code, message });
  }
}

function fixEntry(entry: TreeEntry, guest: Guest, notes: Notes): Operation[] {
  const { path, type, target = '' } = entry;
  const cause = { fixer: NAME, reason: REASON };
  const isKept = mayFail(`${UNITS}/${posix.basename(path)}`, guest, notes);
  const rename = (name: string) =>
    stableUnit(name, guest, (device) => notes.unresolved(path, device, isKept));
  const place = isKept && type === 'symlink' ? wanted(path) : path;
  const renamed = place.split('/').map(rename).join('/');
  if (type === 'symlink') {
    const leads = [...target.split('/').slice(0, -1), rename(posix.basename(target))].join('/');
    if (renamed === path && leads === target) return [];
    const removed = renamed === path ? [] : removeFile(guest.tree, path, cause);
    const isTaken = renamed !== path && guest.tree.lstat(renamed) !== null;
    return [...removed, ...(isTaken ? [] : putLink(guest.tree, renamed, leads, cause))];
  }
  const text = (entry.content?.length ?? 0) > MAX_UNIT_BYTES ? undefined : guest.tree.text(path)?.text;
  if (text === undefined) return [];
  const after = fixText(text, path, guest, notes);
  if (renamed === path) return rewriteFile(guest.tree, path, cause, () => after);
  const isTaken = guest.tree.lstat(renamed) !== null;
  const created = isTaken ? [] : putFile(guest.tree, renamed, cause, after, entry.mode & 0o7777);
  return [...created, ...removeFile(guest.tree, path, cause)];
}

/** Returns the path of a link that says that a target wants the unit, where it said that it requires it. */
const wanted = (path: string): string =>
  path.replace(/(?<=\/(?:local|remote)-fs\.target\.)requires(?=\/[^/]+$)/, 'wants');

/** Returns whether the boot is to go on without the mount or swap unit at `path`. */
const mayFail = (path: string, guest: Guest, { excused }: Notes): boolean =>
  excused.has(path) || isAbsent(path, guest);

/**
 * True for the path of a mount or swap unit that names a device which is on none of the VM's disks: without `nofail`
 * the boot waits for it, and may end in emergency mode.
 */
function isAbsent(path: string, guest: Guest): boolean {
  const unit = deviceUnit(path, guest);
  if (unit === null) return false;
  const { spec, options, mount } = unit;
  const isOpen = isUnstableName(spec) && stablePath(spec, guest, mount ?? { type: 'swap' }) === null;
  const unresolved: string[] = [];
  stableMountOptions(options, guest, (device) => unresolved.push(device));
  return isOpen || unresolved.length > 0;
}

/** The unit whose settings are in the file at `path`, which may be a drop-in. */
const unitOf = (path: string): string => path.replace(/\.d\/[^/]+$/, '');

/** A unit that is named after a device, or a directory that belongs to such a unit. */
const DEVICE_UNIT = /^(dev-.+\.(?:device|swap))(\.(?:d|wants|requires|upholds))?$/;

/** Returns the name of a unit with the stable name of its device; other names stay unchanged. */
function stableUnit(name: string, guest: Guest, unresolved: (device: string) => void): string {
  const [, unit, directory = ''] = DEVICE_UNIT.exec(name) ?? [];
  const device = unit === undefined ? null : pathOfUnit(unit);
  if (unit === undefined || device === null || !isUnstableName(device)) return name;
  const suffix = posix.extname(unit);
  const stable = stablePath(device, guest, suffix === '.swap' ? { type: 'swap' } : {});
  if (stable !== null) return `${escapePath(stable)}${suffix}${directory}`;
  unresolved(device);
  return name;
}

const UNIT_WORD = /(?<![\w:.\\/-])dev-[\w:.\\-]{1,250}\.(?:device|swap)(?![\w:.\\-])/g;

/** Returns the text of a unit with stable names; comments stay unchanged. */
function fixText(text: string, path: string, guest: Guest, notes: Notes): string {
  const unresolved = (device: string) => notes.unresolved(path, device);
  const unit = { path, mayFail: mayFail(unitOf(path), guest, notes) };
  return editIni(text, (line) => {
    const { raw, key } = line;
    if (/^\s*[#;]/.test(raw) || raw.length > MAX_LINE) return raw;
    const changed = key === '' ? null : fixSetting(line, unit, guest, notes);
    return (changed ?? raw).replace(UNIT_WORD, (name) => stableUnit(name, guest, unresolved));
  });
}

/** A file of a unit: its own or a drop-in. */
interface UnitFile {
  path: string;
  mayFail: boolean;
}

/** Patterns are not applied to longer lines. */
const MAX_LINE = 8192;

/** Returns a line with the stable path of the device in its value, or null if it stays unchanged. */
function fixSetting(line: IniLine, unit: UnitFile, guest: Guest, notes: Notes): string | null {
  const { raw, section, key, value } = line;
  const { path } = unit;
  const unresolved = (device: string) => notes.unresolved(path, device, unit.mayFail);
  const replaced = (after: string) =>
    raw.slice(0, raw.indexOf('=') + 1) + raw.slice(raw.indexOf('=') + 1).replace(value, () => after);
  const isMount = section === 'Mount' || section === 'Swap';
  if (isMount && key === 'What') {
    const what = isUnstableName(value) ? replaced(stableWhat(value, path, guest, unresolved)) : raw;
    const hasOptions = unitTexts(guest.tree, unitOf(path)).some(
      (text) => iniValues(text, section, 'Options').length > 0,
    );
    return unit.mayFail && !hasOptions ? `${what}\nOptions=nofail` : what;
  }
  if (isMount && key === 'Options') {
    const options = stableMountOptions(value.split(','), guest, unresolved);
    return replaced((unit.mayFail ? withNofail(options) : options).join(','));
  }
  if (/^(?:Condition|Assert)Path/.test(key)) {
    const [, sign = '', device = ''] = /^([|!]*)(.*)$/.exec(value) ?? [];
    if (!isUnstableName(device)) return null;
    const stable = stablePath(device, guest);
    if (stable === null) unresolved(device);
    return stable === null ? null : replaced(sign + stable);
  }
  for (const word of value.split(/[\s"'=:;,]+/)) if (isUnstableName(word)) notes.command(path, word);
  return null;
}

const withNofail = (options: readonly string[]): string[] =>
  options.includes('nofail') || options.includes('noauto')
    ? [...options]
    : [...options.filter((option) => option !== ''), 'nofail'];

/** Returns a path even though a mount allows `UUID=`, because the name of a swap unit is made of it. */
function stableWhat(
  device: string,
  path: string,
  guest: Guest,
  unresolved: (device: string) => void,
): string {
  const unit = unitOf(path);
  if (unit.endsWith('.swap')) {
    const stable = stablePath(device, guest, { type: 'swap' });
    if (stable === null) unresolved(device);
    return stable ?? device;
  }
  const [mount] = mountOf(unitTexts(guest.tree, unit));
  const stable = stablePath(device, guest, mount ?? {});
  if (stable !== null) return stable;
  if (mount !== undefined && isSystemMountpoint(mount.mountpoint))
    throw unresolvedError(`${device} (${mount.mountpoint}) in ${path}`, path);
  unresolved(device);
  return device;
}
