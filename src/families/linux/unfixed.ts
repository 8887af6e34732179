import type { Kernel } from '../../model/identity.js';
import type { Devices, Warning } from '../../model/plan.js';
import { COMMON_DEVICES } from '../base/as-is.js';
import { DEVICES } from '../base/devices.js';
import type { Guest } from '../base/fixer.js';
import { DEVICE_SETS, withOldVirtio } from './devices.js';
import { moduleIndex } from './modules.js';

/**
 * Returns the devices that a guest drives as it is: those whose drivers are in the initramfs of all of its
 * kernels already, or built in. Virtio only where that is known. Pure.
 */
export function unfixedDevices({ tree, identity, options }: Pick<Guest, 'tree' | 'identity' | 'options'>): {
  devices: Devices;
  warnings: Warning[];
} {
  if (options.devices !== 'auto') return { devices: DEVICES[options.devices], warnings: [] };
  const loads = (kernel: Kernel, driver: string) =>
    moduleIndex(tree, kernel).isBuiltin(driver) || kernel.initramfs?.modules.includes(driver) === true;
  const set = DEVICE_SETS.find(
    ({ storage }) =>
      identity.kernels.length > 0 &&
      identity.kernels.every((kernel) => storage.every((driver) => loads(kernel, driver))),
  );
  const devices = withOldVirtio(set?.devices ?? COMMON_DEVICES, { tree, identity });
  if (devices.disk_bus === 'virtio') return { devices, warnings: [] };
  const message = `fix.mode = "none": no driver for virtio disks is in the initramfs of each of the guest's kernels, so the VM gets ${devices.disk_bus} disks and an ${devices.nic_model} network card`;
  return { devices, warnings: [{ fixer: 'devices', code: 'devices.as-is', message }] };
}
