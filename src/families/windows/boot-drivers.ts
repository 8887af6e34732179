import {
  type CapturedHive,
  capturedKey,
  capturedText,
  capturedTexts,
  capturedValue,
} from '../../guest/registry/captured.js';
import { upperCase } from '../../guest/registry/names.js';
import type { DriverPackage, DriverService } from '../../model/driver-set.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { RegistryChange } from '../../operations/registry-values.js';
import type { Fixer } from '../base/fixer.js';
import {
  criticalDeviceValues,
  DISK_GROUP,
  driverDatabaseValues,
  serviceValues,
  type WantedValue,
} from './drivers/boot-registry.js';
import { hasNewer } from './own-drivers.js';
import {
  changeHive,
  controlSetOf,
  deleteKey,
  hiveOf,
  setValue,
  type WindowsGuest,
} from './registry-edits.js';

const NAME = 'boot-drivers';

export const bootDrivers: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'Makes Windows start from virtio disks: the services of viostor and vioscsi, as the INF files of the packages that were chosen have them, are started at boot (Start=0, without a StartOverride), and the ids of their devices lead to them (CriticalDeviceDatabase before Windows 8, DriverDatabase from then on), those of other subsystems too. Of a driver that Windows has already in the same or a newer version only what is missing for that is added.',
  plan(guest) {
    const system = hiveOf(guest, 'SYSTEM');
    const operations = (guest.drivers?.packages ?? [])
      .filter(({ isBoot }) => isBoot)
      .flatMap((driver) =>
        changeHive(
          system,
          { fixer: NAME, reason: `Windows loads ${driver.name} before it can read its disk, and only then` },
          driverChanges(guest, system, driver),
        ),
      );
    return { operations, warnings: [] };
  },
};

function driverChanges(guest: WindowsGuest, system: CapturedHive, driver: DriverPackage): RegistryChange[] {
  const service = driver.services.find(({ isFunctionDriver }) => isFunctionDriver) ?? driver.services[0];
  if (service === undefined) return [];
  const set = controlSetOf(guest);
  const services = `${set}\\Services`;
  const architecture = guest.identity.architecture === 'i386' ? 'x86' : 'amd64';
  const devices =
    capturedKey(system, 'DriverDatabase') === null
      ? criticalDeviceValues(set, driver, service.name)
      : driverDatabaseValues(driver, service.name, architecture);
  const wanted = hasNewer(guest, driver)
    ? keptServiceValues(system, set, service)
    : serviceValues(services, service, groupOf(system, set, service.loadOrderGroup));
  // An INF may name a value twice: the last one counts.
  const last = new Map(
    [...wanted, ...devices].map((value) => [upperCase(`${value.key}\0${value.name}`), value]),
  );
  return [
    ...[...last.values()].flatMap(({ key, name, after }) => setValue(system, key, name, after)),
    ...deleteKey(system, `${services}\\${service.name}\\StartOverride`),
  ];
}

/** Of a driver that stays: that it starts at boot, and what its service lacks: it may be a remnant. */
function keptServiceValues(system: CapturedHive, set: string, service: DriverService): WantedValue[] {
  const services = `${set}\\Services`;
  const own = `${services}\\${service.name}`;
  const group = groupOf(system, set, capturedText(capturedValue(system, own, 'Group')));
  return serviceValues(services, service, group).filter(
    ({ key, name }) =>
      (key === own && (name === 'Start' || name === 'Group')) || capturedValue(system, key, name) === null,
  );
}

/** Returns `group` if Windows loads it in its place, else that of the disk drivers. */
function groupOf(system: CapturedHive, set: string, group: string | null): string {
  const order = capturedTexts(capturedValue(system, `${set}\\Control\\ServiceGroupOrder`, 'List')) ?? [];
  const isOrdered = order.some((name) => upperCase(name) === upperCase(group ?? ''));
  return group !== null && isOrdered ? group : DISK_GROUP;
}
