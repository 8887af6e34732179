import { posix } from 'node:path';
import { filterVerdict, type LvmFilter, lvmFilters } from '../../guest/lvm-filter.js';
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
  description:
    'LVM’s record of the old hypervisor’s devices (/etc/lvm/devices/system.devices, /etc/lvm/cache/.cache) is removed: LVM then finds its volumes by their own labels. A filter in lvm.conf or lvmlocal.conf that lets only old names through gets virtio’s too, and one that shuts out a disk by its old name shuts it out by its new one, with a warning.',
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

/** lvmdevices(8): the list may have another name than `system.devices`. */
const DEVICES_FILE = /^[ \t]*(?:devices\/)?devicesfile[ \t]*=[ \t]*"([\w.-]{1,100})"/m;

function staleRecords({ tree }: Guest): string[] {
  const named = CONFIGURATION.flatMap((path) => DEVICES_FILE.exec(tree.text(path)?.text ?? '')?.[1] ?? []);
  const lists = new Set(['system.devices', ...named].map((name) => `/etc/lvm/devices/${name}`));
  return [...lists, '/etc/lvm/cache/.cache', '/etc/lvm/.cache'];
}

/**
 * LVM's configuration whose filters say of each physical volume's new name what they said of the old one.
 * `path` is for warnings. Pure, also for copies in an initramfs.
 */
export function stableFilters(text: string, path: string, guest: Guest, warnings: Warning[]): string {
  const additions = lvmFilters(text).flatMap((filter) => {
    const patterns = missingPatterns(filter, guest);
    if (patterns.length === 0) return [];
    const shown = text.slice(filter.start, filter.end).replace(/\s+/g, ' ').trim();
    const what = patterns.some((pattern) => pattern.startsWith('"a'))
      ? `admits only devices of the old hypervisor (${shown}): virtio disks were added`
      : `shuts out a device of the old hypervisor (${shown}): its new name was added`;
    const message = `${posix.basename(path)} ${what}, look whether that is what you want`;
    warnings.push({ fixer: NAME, code: 'lvm.filter', message });
    return [{ place: filter.first, patterns }];
  });
  return additions.reduceRight(
    (result, { place, patterns }) =>
      `${result.slice(0, place)}${patterns.map((pattern) => `${pattern}, `).join('')}${result.slice(place)}`,
    text,
  );
}

/** Where INSPECT found none: whole disks and partitions alike. */
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
    // A volume below DRBD, or of a guest of this guest, must not be seen twice.
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

/** Names by which udev shows a volume on any hypervisor. */
function stableLinks({ partuuid, uuid }: Volume): string[] {
  return [
    ...(partuuid === null ? [] : [`/dev/disk/by-partuuid/${partuuid}`]),
    ...(uuid === null ? [] : [`/dev/disk/by-id/lvm-pv-uuid-${uuid}`]),
  ];
}

/** Kinds of names of old hypervisors' disks, by what a pattern must have in it to mean them. */
const OTHER_KINDS = ['hd', 'xvd', 'nvme'];

/** What a filter said of a volume on the old hypervisor, where it may have had any of its kinds of names. */
function oldVerdict(patterns: readonly string[], volume: Volume) {
  const accepting = patterns.filter((pattern) => pattern.startsWith('a')).join('\n');
  // Which disk a serial number or a slot means does not matter: it was admitted for being needed.
  if (/by-(id|path)/.test(accepting)) return 'accepted';
  const kinds = OTHER_KINDS.filter((kind) => accepting.includes(kind));
  const others = kinds.map((kind) => (kind === 'nvme' ? nvmeName(volume) : deviceName(kind, volume)));
  return filterVerdict(patterns, [deviceName('sd', volume), ...stableLinks(volume), ...others]);
}

const nvmeName = ({ disk, partition }: Volume) =>
  `/dev/nvme0n${(disk ?? 0) + 1}${partition === 0 ? '' : `p${partition}`}`;
