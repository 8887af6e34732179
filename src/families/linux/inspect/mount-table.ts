import { mountpointOf, parseFstab } from '../../../guest/fstab.js';
import type { GuestTree } from '../../../guest/tree.js';
import { filesIn } from '../../base/edit.js';
import { iniValues } from '../network/ini.js';

/** The administrator's own units, which take precedence over those that systemd generates from fstab. */
export const UNITS = '/etc/systemd/system';

/** A line of fstab or a mount unit. */
export interface MountEntry {
  spec: string;
  mountpoint: string;
  type: string;
  options: string[];
}

/** A guest has some dozen. */
const MAX_UNITS = 500;
/** A larger file is not a unit. */
const MAX_UNIT_BYTES = 64 * 1024;

/**
 * Returns what the guest mounts according to its fstab and the mount units in /etc/systemd/system. As in
 * systemd, a unit overrides the line with the same mount point.
 */
export function mountTable(tree: GuestTree): MountEntry[] {
  const units = filesIn(tree, UNITS, /\.mount$/)
    .slice(0, MAX_UNITS)
    .flatMap((path) => mountOf(unitTexts(tree, path)));
  const taken = new Set(units.map(({ mountpoint }) => mountpoint));
  const lines = parseFstab(tree.text('/etc/fstab')?.text ?? '');
  return [...units, ...lines.filter(({ mountpoint }) => !taken.has(mountpoint))];
}

/** Returns the texts of a unit and of its drop-ins, in order. */
export function unitTexts(tree: GuestTree, path: string): string[] {
  return [path, ...filesIn(tree, `${path}.d`, /\.conf$/)].flatMap((file) => tree.text(file)?.text ?? []);
}

/** Parses the texts of a mount unit; later settings override earlier ones. */
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
