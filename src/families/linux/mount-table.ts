import { mountpointOf, parseFstab } from '../../guest/fstab.js';
import type { GuestTree } from '../../guest/tree.js';
import { filesIn } from '../base/edit.js';
import { iniValues } from './network/ini.js';

/** Where the administrator's own units are, which come before the ones that systemd makes of fstab. */
export const UNITS = '/etc/systemd/system';

/** What the guest mounts: a line of fstab, or a `.mount` unit. */
export interface MountEntry {
  spec: string;
  mountpoint: string;
  type: string;
  options: string[];
}

/** A guest has some dozen. */
const MAX_UNITS = 500;
/** Each one larger than this is no unit. */
const MAX_UNIT_BYTES = 64 * 1024;

/**
 * Returns what the guest mounts by its fstab and by mount units of /etc/systemd/system. A unit stands before
 * the line of the same mount point, as systemd takes it.
 */
export function mountTable(tree: GuestTree): MountEntry[] {
  const units = filesIn(tree, UNITS, /\.mount$/)
    .slice(0, MAX_UNITS)
    .flatMap((path) => mountOf(unitTexts(tree, path)));
  const taken = new Set(units.map(({ mountpoint }) => mountpoint));
  const lines = parseFstab(tree.text('/etc/fstab')?.text ?? '');
  return [...units, ...lines.filter(({ mountpoint }) => !taken.has(mountpoint))];
}

/** Returns the texts of a unit and of its drop-ins, in the order that they count. */
export function unitTexts(tree: GuestTree, path: string): string[] {
  return [path, ...filesIn(tree, `${path}.d`, /\.conf$/)].flatMap((file) => tree.text(file)?.text ?? []);
}

/** Returns the mount of one unit, given its texts: later settings replace earlier ones. */
export function mountOf(texts: readonly string[]): MountEntry[] {
  const last = (key: string) =>
    texts
      .filter((text) => text.length <= MAX_UNIT_BYTES)
      .flatMap((text) => iniValues(text, 'Mount', key))
      .at(-1) ?? '';
  const [spec, where] = [last('What'), last('Where')];
  if (spec === '' || !where.startsWith('/')) return [];
  const options = last('Options');
  return [
    {
      spec,
      mountpoint: mountpointOf(where),
      type: last('Type') || 'auto',
      options: options === '' ? [] : options.split(','),
    },
  ];
}
