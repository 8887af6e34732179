import type { WindowsIdentity } from '../../model/identity.js';
import type { Devices, Warning } from '../../model/plan.js';
import { DEVICES } from '../base/devices.js';
import type { Guest } from '../base/fixer.js';
import { VISTA } from './own-drivers.js';
import { tpmWarnings } from './tpm-state.js';

/** Returns the devices that an unchanged Windows most likely has drivers for. Pure. */
export function unfixedDevices({
  identity,
  options,
  hardware,
}: Pick<Guest<WindowsIdentity>, 'identity' | 'options' | 'hardware'>): {
  devices: Devices;
  warnings: Warning[];
} {
  const tpm = tpmWarnings({ hardware });
  if (options.devices !== 'auto') return { devices: DEVICES[options.devices], warnings: tpm };
  const isOld = identity.build < VISTA;
  const devices: Devices = isOld
    ? { disk_bus: 'ide', nic_model: 'rtl8139' }
    : { disk_bus: 'sata', nic_model: 'e1000e' };
  const message = `${identity.os_name} is converted as it is, with ${devices.disk_bus} disks: if their driver is not set to start with Windows, it stops with INACCESSIBLE_BOOT_DEVICE (0x7B)`;
  return { devices, warnings: [{ fixer: 'devices', code: 'devices.windows-unchanged', message }, ...tpm] };
}
