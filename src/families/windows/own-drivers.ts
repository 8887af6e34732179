import type { DriverPackage } from '../../model/driver-set.js';
import type { WindowsGuest } from './registry-edits.js';

/** The first build with its own driver of AHCI controllers, and with pnputil. */
export const VISTA = 6000;

/**
 * Returns whether Windows has a driver of this package already that is as new or newer. Its files stay, so that
 * nothing gets older; only for starting from its disks it may lack something.
 */
export function hasNewer(
  { identity }: Pick<WindowsGuest, 'identity'>,
  { services, files }: DriverPackage,
): boolean {
  return services.some(({ name, imagePath }) => {
    const own = identity.virtio_drivers.find(({ service }) => service.toLowerCase() === name.toLowerCase());
    if (own === undefined || own.version === null) return false;
    const file = imagePath.slice(imagePath.lastIndexOf('\\') + 1).toLowerCase();
    const given = files.find(({ destinations }) =>
      destinations.some((path) => path.toLowerCase().endsWith(`\\${file}`)),
    );
    return given?.version != null && compareVersions(own.version, given.version) >= 0;
  });
}

/** Compares versions of four numbers. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (let part = 0; part < 4; part += 1) {
    const difference = (left?.[part] ?? 0) - (right?.[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
