import { capturedNumber, capturedValue } from '../../guest/registry/captured.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Devices, PlannedNic } from '../../model/plan.js';
import type { Fixer } from '../base/fixer.js';
import { controlSetOf, hiveOf, type WindowsGuest } from './registry-edits.js';

const NAME = 'devices';
/** Vista, the first with a driver of AHCI controllers. */
const FIRST_WITH_AHCI = 6000;
const DISABLED = 4;

export const devices: Fixer<WindowsIdentity> = {
  name: NAME,
  description:
    'Chooses the devices of the new VM by the drivers that Windows has: SATA disks (IDE before Vista), and VMware’s vmxnet3 card if its driver is installed, which is then the very same device with the same addresses, else an e1000e card (rtl8139 before Vista). Nothing in the guest is changed.',
  plan(guest) {
    const chosen = ownDevices(guest);
    const message = `no virtio-win is configured (windows.virtio_win): ${guest.identity.os_name} gets ${chosen.disk_bus} disks and an ${chosen.nic_model} card, for which it has drivers; they are slower than virtio's`;
    return {
      operations: [],
      warnings: [{ fixer: NAME, code: 'devices.windows-no-virtio', message }],
      devices: chosen,
      nics: knownNics(guest.identity),
    };
  },
};

/** Returns the devices that Windows has drivers for by itself. */
function ownDevices(guest: WindowsGuest): Devices {
  if (guest.identity.build < FIRST_WITH_AHCI) return { disk_bus: 'ide', nic_model: 'rtl8139' };
  const services = `${controlSetOf(guest)}\\Services`;
  const start = capturedNumber(capturedValue(hiveOf(guest, 'SYSTEM'), `${services}\\vmxnet3ndis6`, 'Start'));
  const hasVmxnet3 = start !== null && start !== DISABLED;
  return { disk_bus: 'sata', nic_model: hasVmxnet3 ? 'vmxnet3' : 'e1000e' };
}

/** The adapters whose card's address is known, each address once: Windows keeps removed adapters, too. */
function knownNics({ interfaces }: WindowsIdentity): PlannedNic[] {
  const byMac = new Map<string, PlannedNic>();
  for (const { name, mac, permanent_mac } of interfaces) {
    const own = permanent_mac ?? mac;
    if (own !== null && !byMac.has(own)) byMac.set(own, { name, mac: own });
  }
  return [...byMac.values()];
}
