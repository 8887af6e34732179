import { capturedValue } from '../../guest/registry/captured.js';
import { dwordData } from '../../guest/registry/make-value.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { Fixer } from '../base/fixer.js';
import { changeHive, controlSetOf, deleteKey, hiveOf, setValue } from './registry-edits.js';

const NAME = 'controllers';

/** Windows' own drivers of AHCI, NVMe and IDE controllers, by the first build that they are for. */
const DRIVERS: readonly (readonly [build: number, services: readonly string[]])[] = [
  // Windows 8.
  [9200, ['storahci', 'stornvme', 'atapi', 'intelide', 'pciide']],
  // Vista: the AHCI driver of before, and the one that it needs for controllers in IDE mode.
  [6000, ['msahci', 'pciide']],
  [0, ['atapi', 'intelide', 'pciide']],
];

const SERVICE_VALUES = ['ImagePath', 'Start', 'Type'];
const START_AT_BOOT = dwordData(0);

/** SATA and IDE disks work without any package, so that there is a way back if virtio's drivers fail. */
export const controllers: Fixer<WindowsIdentity> = {
  name: NAME,
  whileRunning: false,
  description:
    'Windows’ own drivers of SATA, NVMe and IDE controllers (storahci, stornvme, atapi, intelide, pciide; before Windows 8 msahci and pciide) are started at boot (Start=0), and a StartOverride that says otherwise is deleted. So the guest starts from a SATA disk, too, which is what it gets where no virtio driver fits. Drivers of VMware’s own controllers and cards stay as they are, so that the guest can go back.',
  plan(guest) {
    const system = hiveOf(guest, 'SYSTEM');
    const services = `${controlSetOf(guest)}\\Services`;
    const names = DRIVERS.find(([build]) => guest.identity.build >= build)?.[1] ?? [];
    const changes = names.flatMap((name) => {
      const path = `${services}\\${name}`;
      // Without these a key is what is left of a service, or of its installer.
      const isService = SERVICE_VALUES.some((value) => capturedValue(system, path, value) !== null);
      if (!isService) return [];
      return [
        ...setValue(system, path, 'Start', START_AT_BOOT),
        ...deleteKey(system, `${path}\\StartOverride`),
      ];
    });
    const reason = 'Windows can start from a SATA or IDE disk only with the driver of its controller';
    return { operations: changeHive(system, { fixer: NAME, reason }, changes), warnings: [] };
  },
};
