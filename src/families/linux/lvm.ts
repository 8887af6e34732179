import { posix } from 'node:path';
import { filterVerdict, type LvmFilter, lvmFilters, unreadPatterns } from '../../guest/lvm-filter.js';
import type { Filesystem } from '../../model/identity.js';
import type { Warning } from '../../model/plan.js';
import { diskLetters } from '../../text/disk-letters.js';
import { removeFile, rewriteFile } from '../base/edit.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { chooseDevices } from './devices.js';

const NAME = 'lvm';
const CONFIGURATION = ['/etc/lvm/lvm.conf', '/etc/lvm/lvmlocal.conf'];

export const lvm: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'LVM’s record of the old hypervisor’s devices (/etc/lvm/devices/system.devices, /etc/lvm/cache/.cache) is removed: LVM then finds its volumes by their own labels. A filter in lvm.conf or lvmlocal.conf that accepts only the old names gets virtio’s as well, and one that rejects a disk by its old name gets its new name as well, with a warning.',
  plan(guest) {
    const { tree } = guest;
    const warnings: Warning[] = [];
    const cause = { fixer: NAME, reason: 'the filter goes by device names of the old hypervisor' };
    const filters = CONFIGURATION.flatMap((path) =>
      rewriteFile(tree, path, cause, (text) => stableFilters(text, path, guest, warnings)),
    );
    const reason = 'it lists devices of the old hypervisor; LVM would not look at the new ones';
    const removals = staleRecords(guest).flatMap((path) => removeFile(tree, path, { fixer: NAME, reason }));
    return { operations: [...removals, ...filters], warnings };
  },
};

/** lvmdevices(8): the list may have a name other than `system.devices`. */
const DEVICES_FILE = /^[ \t]*(?:devices\/)?devicesfile[ \t]*=[ \t]*"([\w.-]{1,100})"/m;

function staleRecords({ tree }: Guest): string[] {
  const named = CONFIGURATION.flatMap((path) => DEVICES_FILE.exec(tree.text(path)?.text ?? '')?.[1] ?? []);
  const lists = new Set(['system.devices', ...named].map((name) => `/etc/lvm/devices/${name}`));
  return [...lists, '/etc/lvm/cache/.cache', '/etc/lvm/.cache'];
}

/**
 * Adds patterns to the filters of an LVM configuration so that they decide for each physical volume's new name
 * as they did for the old one. `path` is used in warnings. Pure; also applied to copies in an initramfs.
 */
export function stableFilters(text: string, path: string, guest: Guest, warnings: Warning[]): string {
  const additions = lvmFilters(text).flatMap((filter) => {
    const unread = unreadPatterns(filter.patterns).map(shortened);
    if (unread.length > 0) {
      const message = `${posix.basename(path)}: ${unread.slice(0, MAX_NAMED).join(', ')} in a filter cannot be evaluated, so the filter was left unchanged. If it rejects the new disks, LVM does not find its volumes: add "a|^/dev/vd|" as its first pattern`;
      warnings.push({ fixer: NAME, code: 'lvm.filter-unread', message });
      return [];
    }
    const patterns = missingPatterns(filter, guest);
    if (patterns.length === 0) return [];
    const shown = text.slice(filter.start, filter.end).replace(/\s+/g, ' ').trim();
    const what = patterns.some((pattern) => pattern.startsWith('"a'))
      ? `accepts only devices of the old hypervisor (${shown}): virtio disks were added`
      : `rejects a device of the old hypervisor (${shown}): its new name was added`;
    const message = `${posix.basename(path)} ${what}; check that this is intended`;
    warnings.push({ fixer: NAME, code: 'lvm.filter', message });
    return [{ place: filter.first, patterns }];
  });
  return additions.reduceRight(
    (result, { place, patterns }) =>
      `${result.slice(0, place)}${patterns.map((pattern) => `${pattern}, `).join('')}${result.slice(place)}`,
    text,
  );
}

const MAX_NAMED = 3;
const MAX_SHOWN = 60;
const shortened = (pattern: string): string =>
  pattern.length > MAX_SHOWN ? `"${pattern.slice(0, MAX_SHOWN)}…"` : `"${pattern}"`;

/** Used if INSPECT found no physical volume: a whole disk and partitions. */
const ANY = [0, 1, 2].map((partition) => ({ disk: 0, partition, partuuid: null, uuid: null }));
type Volume = Pick<Filesystem, 'disk' | 'partition' | 'partuuid' | 'uuid'>;

function missingPatterns({ patterns }: LvmFilter, guest: Guest): string[] {
  const bus = chooseDevices(guest).devices.disk_bus;
  const prefix = bus === 'virtio' ? 'vd' : 'sd';
  const found = guest.identity.filesystems.filter(
    ({ type, disk }) => type === 'LVM2_member' && disk !== null,
  );
  const volumes: readonly Volume[] = found.length === 0 ? ANY : found;
  const wanted = volumes.map((volume) => ({
    name: deviceName(prefix, volume),
    old: oldVerdict(patterns, volume),
    now: filterVerdict(patterns, [deviceName(prefix, volume), ...stableLinks(volume)]),
  }));
  const shutOut = found.length === 0 ? [] : wanted.filter(({ old }) => old === 'rejected');
  const admitted = wanted.filter(({ old, now }) => old === 'accepted' && now === 'rejected');
  const exact = (action: 'a' | 'r', name: string) => `"${action}|^${name}$|"`;
  return [
    // LVM must not see a volume twice, for example below DRBD and on it.
    ...shutOut.flatMap(({ name, now }) => (now === 'rejected' ? [] : [exact('r', name)])),
    ...(admitted.length > 0 && shutOut.length === 0
      ? [`"a|^/dev/${prefix}|"`]
      : admitted.map(({ name }) => exact('a', name))),
  ];
}

function deviceName(prefix: string, { disk, partition }: Volume): string {
  const number = partition === 0 ? '' : String(partition);
  return `/dev/${prefix}${diskLetters(disk ?? 0)}${number}`;
}

/** Returns the names that udev gives a volume on any hypervisor. */
function stableLinks({ partuuid, uuid }: Volume): string[] {
  return [
    ...(partuuid === null ? [] : [`/dev/disk/by-partuuid/${partuuid}`]),
    ...(uuid === null ? [] : [`/dev/disk/by-id/lvm-pv-uuid-${uuid}`]),
  ];
}

/** Other kinds of disk names; a pattern that does not contain one does not mean it. */
const OTHER_KINDS = ['hd', 'xvd', 'nvme'];

/** Evaluates a filter for the names that a volume may have had on the old hypervisor. */
function oldVerdict(patterns: readonly string[], volume: Volume) {
  const accepting = patterns.filter((pattern) => pattern.startsWith('a')).join('\n');
  // The volume that a serial number or a slot stands for was accepted because it is needed.
  if (/by-(id|path)/.test(accepting)) return 'accepted';
  const kinds = OTHER_KINDS.filter((kind) => accepting.includes(kind));
  const others = kinds.map((kind) => (kind === 'nvme' ? nvmeName(volume) : deviceName(kind, volume)));
  return filterVerdict(patterns, [deviceName('sd', volume), ...stableLinks(volume), ...others]);
}

const nvmeName = ({ disk, partition }: Volume) =>
  `/dev/nvme0n${(disk ?? 0) + 1}${partition === 0 ? '' : `p${partition}`}`;
