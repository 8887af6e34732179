import type { FstabLine } from '../../guest/fstab.js';
import { escapePath } from '../../guest/unit-names.js';

/** Where systemd cuts a name in the middle, to fit a line of the console. */
const CUT = /…|\.{3}/;
/** A shorter end of a name says too little. */
const LEAST_END = 6;

/** Returns all names that fstab(5)'s line may be meant by: its mount point, its device, and their units. */
export function namesOfLine({
  spec,
  mountpoint,
  type,
}: Pick<FstabLine, 'spec' | 'mountpoint' | 'type'>): string[] {
  const isMounted = mountpoint.startsWith('/') && type !== 'swap';
  const mount = isMounted ? [mountpoint, `${escapePath(mountpoint)}.mount`] : [];
  return [...mount, ...namesOfDevice(spec)];
}

/** Returns a device's name as it is written, its path below /dev, and the unit of that path. */
export function namesOfDevice(spec: string): string[] {
  const [, key, value] = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.+)$/.exec(spec) ?? [];
  const path = key === undefined ? spec : `/dev/disk/by-${key.toLowerCase()}/${value}`;
  if (!path.startsWith('/dev/')) return [];
  return [...new Set([spec, path, `${escapePath(path)}.device`])];
}

/**
 * Returns whether `wanted`, as an operator or the console of a boot names it, is one of `names`. A name that was cut
 * must begin and end like one of them.
 */
export function isNamed(wanted: string, names: readonly string[]): boolean {
  if (names.includes(wanted)) return true;
  const [start = '', end] = wanted.split(CUT);
  if (end === undefined || end.length < LEAST_END) return false;
  return names.some(
    (name) => name.length >= start.length + end.length && name.startsWith(start) && name.endsWith(end),
  );
}
