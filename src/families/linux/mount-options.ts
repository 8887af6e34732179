import { isUnstableName, resolveDevice } from '../../guest/device-names.js';
import { escapePath, pathOfUnit } from '../../guest/unit-names.js';
import type { Guest } from '../base/fixer.js';
import { stablePath } from './stable-names.js';

/**
 * Options that name a device which is part of the filesystem: a device of btrfs, an external journal of ext4,
 * XFS and ReiserFS, the realtime device of XFS. They may share a UUID, so PARTUUID is preferred.
 */
const PARTS = /^(device|journal_path|logdev|rtdev|jdev)=(.+)$/;
/** systemd.mount(5): the path or the unit that the mount depends on. */
const DEPENDENCIES = /^(x-systemd\.(?:requires|wants|after|before|wanted-by|required-by))=(.+)$/;

/** Returns the unstable device name in an option, or null. */
export function unstableOption(option: string): string | null {
  const value = (PARTS.exec(option) ?? DEPENDENCIES.exec(option))?.[2] ?? '';
  const path = value.startsWith('/') ? value : (pathOfUnit(value) ?? '');
  return isUnstableName(path) ? path : null;
}

/**
 * Returns mount options with stable names. `device=` of a btrfs on whole disks is removed: these have no stable
 * name, and the kernel finds them by their common UUID. An option that cannot be resolved stays, and
 * `unresolved` is called with it.
 */
export function stableMountOptions(
  options: readonly string[],
  guest: Guest,
  unresolved: (device: string, option: string) => void,
): string[] {
  const stable = options.flatMap((option) => {
    const device = unstableOption(option);
    if (device === null) return [option];
    if (option.startsWith('device=') && isSharedDisk(device, guest)) return [];
    const ownFirst = PARTS.test(option) ? stablePath(device, guest, { only: 'partuuid' }) : null;
    const path = ownFirst ?? stablePath(device, guest);
    if (path === null) {
      unresolved(device, option);
      return [option];
    }
    const equals = option.indexOf('=') + 1;
    const isUnit = option[equals] !== '/';
    return [option.slice(0, equals) + (isUnit ? `${escapePath(path)}.device` : path)];
  });
  return stable.length === 0 && options.length > 0 ? ['defaults'] : stable;
}

/** True for a whole disk that is one of several devices of a filesystem. */
function isSharedDisk(device: string, { identity: { filesystems }, controllers }: Guest): boolean {
  const found = resolveDevice(device, { filesystems, controllers });
  return (
    found?.partition === 0 &&
    found.uuid !== null &&
    filesystems.some((other) => other.uuid === found.uuid && other.device !== found.device)
  );
}
