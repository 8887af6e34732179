import { posix } from 'node:path';
import { isUnstableName } from '../../guest/device-names.js';
import type { TreeEntry } from '../../guest/tree.js';
import { escapePath, pathOfUnit } from '../../guest/unit-names.js';
import type { Warning } from '../../model/plan.js';
import type { Operation } from '../../operations/registry.js';
import { putFile, putLink, removeFile, rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { isSystemMountpoint, unresolvedError } from './fstab.js';
import { mountOf, UNITS, unitTexts } from './inspect/mount-table.js';
import { stableMountOptions } from './mount-options.js';
import { editIni, type IniLine } from './network/ini.js';
import { stablePath } from './stable-names.js';

const NAME = 'systemd-units';
const REASON = 'a unit waits for a device of the old hypervisor';
/** Real guests have some hundreds at most. */
const MAX_FILES = 5_000;
/** A larger file is not a unit. */
const MAX_BYTES = 64 * 1024;

export const systemdUnits: Fixer = {
  name: NAME,
  description:
    'The administrator’s own units and drop-ins (/etc/systemd/system) that name a disk by its place on the old hypervisor: What= and Options= of mounts and swap areas, conditions on paths, and dependencies on dev-sdXN.device get UUID names. Units, drop-in directories and links that are named after a device (dev-sdb2.swap) are renamed with it. Commands that name a device are reported.',
  plan(guest) {
    if (guest.identity.init_system !== 'systemd') return { operations: [], warnings: [] };
    const notes = new Notes();
    const operations = guest.tree
      .entries()
      .filter(({ path, type }) => path.startsWith(`${UNITS}/`) && type !== 'directory')
      .slice(0, MAX_FILES)
      .flatMap((entry) => fixEntry(entry, guest, notes));
    return { operations, warnings: notes.warnings };
  },
};

/** Collects warnings without duplicates. */
class Notes {
  readonly warnings: Warning[] = [];

  unresolved(path: string, device: string): void {
    this.add(
      'units.unresolved',
      `${path} names ${device}, which is on none of the VM's disks: it was left unchanged`,
    );
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
  const rename = (name: string) => stableUnit(name, guest, (device) => notes.unresolved(path, device));
  const renamed = path.split('/').map(rename).join('/');
  if (type === 'symlink') {
    const leads = [...target.split('/').slice(0, -1), rename(posix.basename(target))].join('/');
    if (renamed === path && leads === target) return [];
    const removed = renamed === path ? [] : removeFile(guest.tree, path, cause);
    const isTaken = renamed !== path && guest.tree.lstat(renamed) !== null;
    return [...removed, ...(isTaken ? [] : putLink(guest.tree, renamed, leads, cause))];
  }
  const text = (entry.content?.length ?? 0) > MAX_BYTES ? undefined : guest.tree.text(path)?.text;
  if (text === undefined) return [];
  const after = fixText(text, path, guest, notes);
  if (renamed === path) return rewriteFile(guest.tree, path, cause, () => after);
  const isTaken = guest.tree.lstat(renamed) !== null;
  const created = isTaken ? [] : putFile(guest.tree, renamed, cause, after, entry.mode & 0o7777);
  return [...created, ...removeFile(guest.tree, path, cause)];
}

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
  return editIni(text, (line) => {
    const { raw, key } = line;
    if (/^\s*[#;]/.test(raw) || raw.length > MAX_LINE) return raw;
    const changed = key === '' ? null : fixSetting(line, path, guest, notes);
    return (changed ?? raw).replace(UNIT_WORD, (unit) => stableUnit(unit, guest, unresolved));
  });
}

/** Patterns are not applied to longer lines. */
const MAX_LINE = 8192;

/** Returns a line with the stable path of the device in its value, or null if it stays unchanged. */
function fixSetting({ raw, section, key, value }: IniLine, path: string, guest: Guest, notes: Notes) {
  const unresolved = (device: string) => notes.unresolved(path, device);
  const replaced = (after: string) =>
    raw.slice(0, raw.indexOf('=') + 1) + raw.slice(raw.indexOf('=') + 1).replace(value, () => after);
  const isMount = section === 'Mount' || section === 'Swap';
  if (isMount && key === 'What')
    return isUnstableName(value) ? replaced(stableWhat(value, path, guest, unresolved)) : null;
  if (isMount && key === 'Options')
    return replaced(stableMountOptions(value.split(','), guest, unresolved).join(','));
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

/** Returns a path even though a mount allows `UUID=`, because the name of a swap unit is made of it. */
function stableWhat(
  device: string,
  path: string,
  guest: Guest,
  unresolved: (device: string) => void,
): string {
  const unit = path.replace(/\.d\/[^/]+$/, '');
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
