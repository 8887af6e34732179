import type { WindowsIdentity } from '../../model/identity.js';
import type { Fixer } from '../base/fixer.js';
import { bootDrivers } from './boot-drivers.js';
import { bootStore } from './boot-store.js';
import { controllers } from './controllers.js';
import { devicePath } from './device-path.js';
import { devices } from './devices.js';
import { driverFiles } from './driver-files.js';
import { filters } from './filters.js';
import { firstBootFixer } from './first-boot.js';
import { firstBootValues } from './first-boot-values.js';
import { uefiFallback } from './uefi-fallback.js';
import { vmwareServices } from './vmware-services.js';

/** All fixers of a Windows guest, in the order in which they run. */
export const FIXERS: readonly Fixer<WindowsIdentity>[] = [
  devices,
  bootStore,
  uefiFallback,
  controllers,
  driverFiles,
  bootDrivers,
  // A device must not lose its driver's filter before it is taken out of the list.
  filters,
  vmwareServices,
  firstBootValues,
  devicePath,
  // It restores what firstBootValues has changed.
  firstBootFixer,
];
