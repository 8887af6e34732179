import { capturedKey, capturedNumber, capturedValue } from '../../guest/registry/captured.js';
import type { DriverPackage } from '../../model/driver-set.js';
import { controlSetOf, hiveOf, type WindowsGuest } from './registry-edits.js';

/** The first build with its own driver of AHCI controllers, and with pnputil. */
export const VISTA = 6000;

const AT_BOOT = 0;
const DISABLED = 4;

/** Returns whether Windows works with virtio's driver as it is: that of disks is started before they are read. */
export function hasWorking(guest: WindowsGuest, service: 'viostor' | 'netkvm'): boolean {
  const own = guest.identity.virtio_drivers.find((driver) => driver.service === service);
  if (own === undefined || own.version === null) return false;
  const system = hiveOf(guest, 'SYSTEM');
  const key = `${controlSetOf(guest)}\\Services\\${service}`;
  const start = capturedNumber(capturedValue(system, key, 'Start'));
  if (service === 'netkvm') return start !== null && start !== DISABLED;
  return start === AT_BOOT && capturedKey(system, `${key}\\StartOverride`) === null;
}

/** Returns whether Windows knows a device of virtio 1.0, whose numbers are from 0x1040 on. */
export const knowsModern = (guest: WindowsGuest): boolean =>
  hiveOf(guest, 'SYSTEM').keys.some(({ path }) => /VEN_1AF4&DEV_10[4-7][0-9A-F]/i.test(path));

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
