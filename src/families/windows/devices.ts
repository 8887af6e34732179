import { Hyper2kvmError } from '../../errors/error.js';
import { capturedNumber, capturedValue } from '../../guest/registry/captured.js';
import type { DriverPackage, DriverWarning, PackageName } from '../../model/driver-set.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Devices, Warning } from '../../model/plan.js';
import { DEVICES, IDE_DISKS } from '../base/devices.js';
import type { Fixer } from '../base/fixer.js';
import { cardsOf } from './cards.js';
import { hasWorking, knowsModern, VISTA } from './own-drivers.js';
import { controlSetOf, hiveOf, type WindowsGuest } from './registry-edits.js';
import { tpmWarnings } from './tpm-state.js';

const NAME = 'windows-devices';
const DISABLED = 4;

export const devices: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'Chooses the devices of the new VM by the drivers that Windows has, and that the operator’s virtio-win has for it: virtio disks and cards where there is one that it loads, or Windows works with its own already. Without, SATA disks (IDE before Vista), and VMware’s vmxnet3 card if its driver is installed, which is then the very same device with the same addresses, else an e1000e card (rtl8139 before Vista). fix.devices decides instead where it names a bus. Nothing in the guest is changed.',
  plan(guest) {
    const chosen = chosenDevices(guest);
    const disks = guest.controllers.length;
    if (chosen.disk_bus === 'ide' && disks > IDE_DISKS)
      throw new Hyper2kvmError(
        'plan.too-many-disks',
        `${guest.identity.os_name} can be started from IDE disks only, of which a VM has ${IDE_DISKS}; this one has ${disks} disks`,
      );
    return {
      operations: [],
      warnings: [...warningsOf(guest, chosen), ...tpmWarnings(guest)],
      devices: chosen,
      nics: cardsOf(guest).planned,
    };
  },
};

const OWN = '; Windows has one of its own, which stays';

function warningsOf(guest: WindowsGuest, chosen: Devices): Warning[] {
  const { identity, drivers, options } = guest;
  const { disk_bus, nic_model } = chosen;
  const isChosen = options.devices !== 'auto';
  const undriven = isChosen ? undrivenDevices(guest, chosen) : [];
  const isVirtio = disk_bus === 'virtio' && nic_model === 'virtio';
  if (drivers === null && (isChosen || isVirtio)) return undriven;
  if (drivers === null) {
    const message = `no virtio-win is configured (windows.virtio_win): ${identity.os_name} gets ${disk_bus} disks and an ${nic_model} card, for which it has drivers; they are slower than virtio's`;
    return [{ fixer: NAME, code: 'devices.windows-no-virtio', message }];
  }
  const instead: Partial<Record<DriverWarning['code'], string>> = isChosen
    ? {}
    : {
        'drivers.no-storage': disk_bus === 'virtio' ? OWN : `; it gets ${disk_bus} disks`,
        'drivers.no-network': nic_model === 'virtio' ? OWN : `; it gets an ${nic_model} card`,
      };
  const passedOver = drivers.warnings.map(({ code, message }) => ({
    fixer: NAME,
    code,
    message: `${message}${instead[code] ?? ''}`,
  }));
  return [...passedOver, ...undriven];
}

/** What the operator wants and Windows has no driver for. */
function undrivenDevices(guest: WindowsGuest, { disk_bus, nic_model }: Devices): Warning[] {
  const { identity, options } = guest;
  const isOld = identity.build < VISTA;
  const noDisk = (disk_bus === 'virtio' && !isDriven(guest, 'viostor')) || (disk_bus === 'sata' && isOld);
  const noCard = nic_model === 'virtio' && !isDriven(guest, 'netkvm');
  const without = `fix.devices = "${options.devices}", and ${identity.os_name} gets no driver for`;
  const code = 'devices.windows-no-driver';
  return [
    ...(noDisk
      ? [{ fixer: NAME, code, message: `${without} ${disk_bus} disks: it stops with 0x7B when it starts` }]
      : []),
    ...(noCard ? [{ fixer: NAME, code, message: `${without} an ${nic_model} card: it has no network` }] : []),
  ];
}

/** Returns the new VM's devices. Pure. */
export function chosenDevices(guest: WindowsGuest): Devices {
  const { devices: wanted } = guest.options;
  const chosen = wanted === 'auto' ? drivenDevices(guest) : DEVICES[wanted];
  const isOld =
    (chosen.disk_bus === 'virtio' && isOldDriver(guest, 'viostor')) ||
    (chosen.nic_model === 'virtio' && isOldDriver(guest, 'netkvm'));
  return { ...chosen, ...(isOld ? { virtio: 'transitional' as const } : {}) };
}

/** Returns the best devices that Windows has drivers for, with those of virtio-win. */
function drivenDevices(guest: WindowsGuest): Devices {
  const own = ownDevices(guest);
  return {
    disk_bus: isDriven(guest, 'viostor') ? 'virtio' : own.disk_bus,
    nic_model: isDriven(guest, 'netkvm') ? 'virtio' : own.nic_model,
  };
}

/** Whether Windows has the driver, or gets it: before Vista there is no pnputil to install NetKVM with. */
function isDriven(guest: WindowsGuest, name: 'viostor' | 'netkvm'): boolean {
  if (hasWorking(guest, name)) return true;
  return driverOf(guest, name) !== undefined && (name === 'viostor' || guest.identity.build >= VISTA);
}

/** Whether the driver is of virtio from before 1.0. */
function isOldDriver(guest: WindowsGuest, name: 'viostor' | 'netkvm'): boolean {
  const driver = driverOf(guest, name);
  if (driver !== undefined) return !isModern(driver);
  return hasWorking(guest, name) && !knowsModern(guest);
}

const driverOf = ({ drivers }: WindowsGuest, name: PackageName): DriverPackage | undefined =>
  drivers?.packages.find((driver) => driver.name === name);

/** Whether the driver knows devices of virtio 1.0, whose numbers are from 0x1040 on. */
const isModern = ({ devices: known }: DriverPackage): boolean =>
  known.some(({ ids }) => ids.some((id) => /^PCI\\VEN_1AF4&DEV_10[4-7][0-9A-F]/.test(id)));

/** Returns the devices that Windows has drivers for by itself. */
function ownDevices(guest: WindowsGuest): Devices {
  if (guest.identity.build < VISTA) return { disk_bus: 'ide', nic_model: 'rtl8139' };
  const services = `${controlSetOf(guest)}\\Services`;
  const start = capturedNumber(capturedValue(hiveOf(guest, 'SYSTEM'), `${services}\\vmxnet3ndis6`, 'Start'));
  const hasVmxnet3 = start !== null && start !== DISABLED;
  return { disk_bus: 'sata', nic_model: hasVmxnet3 ? 'vmxnet3' : 'e1000e' };
}
