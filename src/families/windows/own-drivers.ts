import { capturedKey, capturedNumber, capturedValue } from '../../guest/registry/captured.js';
import type { DriverPackage } from '../../model/driver-set.js';
import { controlSetOf, hiveOf, type WindowsGuest } from './registry-edits.js';

/** The first build with its own driver of AHCI controllers, and with pnputil. */
export const VISTA = 6000;

const AT_BOOT = 0;
const DISABLED = 4;

/**
 * Returns whether Windows works with virtio's driver as it is. That of disks must be started before disks are read,
 * and Windows must know by the id of a disk that the driver is for it: files and services alone may be remnants.
 */
export function hasWorking(guest: WindowsGuest, service: 'viostor' | 'netkvm'): boolean {
  const own = guest.identity.virtio_drivers.find((driver) => driver.service === service);
  if (own === undefined || own.version === null) return false;
  const system = hiveOf(guest, 'SYSTEM');
  const key = `${controlSetOf(guest)}\\Services\\${service}`;
  const start = capturedNumber(capturedValue(system, key, 'Start'));
  if (service === 'netkvm') return start !== null && start !== DISABLED;
  const isStarted = start === AT_BOOT && capturedKey(system, `${key}\\StartOverride`) === null;
  return isStarted && knowsDevice(guest, DISK);
}

/** Returns whether Windows knows a device of virtio 1.0. */
export const knowsModern = (guest: WindowsGuest): boolean => knowsDevice(guest, MODERN);

/** A disk: of virtio 1.0, or of before. */
const DISK = /VEN_1AF4&DEV_10(?:01|42)/i;
/** Numbers from 0x1040 on. */
const MODERN = /VEN_1AF4&DEV_10[4-7][0-9A-F]/i;

/** The ids are in the hive of SYSTEM for what Windows needs to start: not those of network cards. */
const knowsDevice = (guest: WindowsGuest, device: RegExp): boolean =>
  hiveOf(guest, 'SYSTEM').keys.some(({ path }) => device.test(path));

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
