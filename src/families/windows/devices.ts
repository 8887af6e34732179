import { capturedNumber, capturedValue } from '../../guest/registry/captured.js';
import type { DriverPackage, DriverWarning, PackageName } from '../../model/driver-set.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Devices, Warning } from '../../model/plan.js';
import type { Fixer } from '../base/fixer.js';
import { cardsOf } from './cards.js';
import { controlSetOf, hiveOf, type WindowsGuest } from './registry-edits.js';

const NAME = 'windows-devices';
/** Vista, the first with a driver of AHCI controllers. */
const FIRST_WITH_AHCI = 6000;
const DISABLED = 4;

export const devices: Fixer<WindowsIdentity> = {
  name: NAME,
  description:
    'Chooses the devices of the new VM by the drivers that Windows has, and that the operator’s virtio-win has for it: virtio disks and cards where there is one that it loads. Without, SATA disks (IDE before Vista), and VMware’s vmxnet3 card if its driver is installed, which is then the very same device with the same addresses, else an e1000e card (rtl8139 before Vista). Nothing in the guest is changed.',
  plan(guest) {
    const chosen = chosenDevices(guest);
    return {
      operations: [],
      warnings: warningsOf(guest, chosen),
      devices: chosen,
      nics: cardsOf(guest).planned,
    };
  },
};

function warningsOf({ identity, drivers }: WindowsGuest, { disk_bus, nic_model }: Devices): Warning[] {
  if (drivers === null) {
    const message = `no virtio-win is configured (windows.virtio_win): ${identity.os_name} gets ${disk_bus} disks and an ${nic_model} card, for which it has drivers; they are slower than virtio's`;
    return [{ fixer: NAME, code: 'devices.windows-no-virtio', message }];
  }
  const instead: Partial<Record<DriverWarning['code'], string>> = {
    'drivers.no-storage': `; it gets ${disk_bus} disks`,
    'drivers.no-network': `; it gets an ${nic_model} card`,
  };
  return drivers.warnings.map(({ code, message }) => ({
    fixer: NAME,
    code,
    message: `${message}${instead[code] ?? ''}`,
  }));
}

/** Returns the new VM's devices. Pure. */
export function chosenDevices(guest: WindowsGuest): Devices {
  const own = ownDevices(guest);
  const driver = (name: PackageName) => guest.drivers?.packages.find((found) => found.name === name);
  const [disk, nic] = [driver('viostor'), driver('netkvm')];
  const isOld = (disk !== undefined && !isModern(disk)) || (nic !== undefined && !isModern(nic));
  return {
    disk_bus: disk === undefined ? own.disk_bus : 'virtio',
    nic_model: nic === undefined ? own.nic_model : 'virtio',
    ...(isOld ? { virtio: 'transitional' as const } : {}),
  };
}

/** Whether the driver knows devices of virtio 1.0, whose numbers are from 0x1040 on. */
const isModern = ({ devices: known }: DriverPackage): boolean =>
  known.some(({ ids }) => ids.some((id) => /^PCI\\VEN_1AF4&DEV_10[4-7][0-9A-F]/.test(id)));

/** Returns the devices that Windows has drivers for by itself. */
function ownDevices(guest: WindowsGuest): Devices {
  if (guest.identity.build < FIRST_WITH_AHCI) return { disk_bus: 'ide', nic_model: 'rtl8139' };
  const services = `${controlSetOf(guest)}\\Services`;
  const start = capturedNumber(capturedValue(hiveOf(guest, 'SYSTEM'), `${services}\\vmxnet3ndis6`, 'Start'));
  const hasVmxnet3 = start !== null && start !== DISABLED;
  return { disk_bus: 'sata', nic_model: hasVmxnet3 ? 'vmxnet3' : 'e1000e' };
}
