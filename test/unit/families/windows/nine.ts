import type { Nic } from '../../../../src/model/hardware.js';
import type { WindowsIdentity } from '../../../../src/model/identity.js';
import { binary, multiSz, sz } from '../../guest/registry/make-hive.js';
import { bulkKeys } from './bulk-keys.js';
import type { Keys, WindowsRecipe } from './make-windows.js';
import { SYSTEMS } from './systems.js';
import { WINDOWS_7_ON_VMWARE, WINDOWS_10_ON_VMWARE } from './vmware-facts.js';

/** A Windows of the lab as VMware left it, with all odd facts of real ones. */
export interface LabWindows {
  recipe: WindowsRecipe;
  nics: readonly Nic[];
  /** Its folder in virtio-win. */
  os: string;
  target: { build: number; architecture: 'x86' | 'amd64'; product: 'workstation' | 'server' };
  identity: Partial<WindowsIdentity>;
  /** Which of VMware's guests its registry is after. */
  facts: 'windows-7' | 'windows-10';
  /** The size of its second disk, in MiB; 0: it has one. */
  dataDisk: number;
}

/** As a real `ServiceGroupOrder` begins. */
export const GROUPS: Keys = {
  '@\\Control\\ServiceGroupOrder': [
    multiSz('List', ['System Reserved', 'Boot Bus Extender', 'System Bus Extender', 'SCSI miniport', 'Port']),
  ],
};

/**
 * VMware's USB mouse at each port that it was ever seen at: with them, FIX has more than a hundred changes to make to
 * the registry.
 */
export const MICE = Array.from(
  { length: 14 },
  (_, port) => `@\\Enum\\HID\\VID_0E0F&PID_0003&MI_01\\8&2B5D2A9B&0&000${port.toString(16).toUpperCase()}`,
);

/** Letters of the root, by the GUID of its partition, and of a second disk's volume, by the disk's signature. */
const TWO_DISKS: Keys = {
  MountedDevices: [
    binary('\\DosDevices\\C:', `${Buffer.from('DMIO:ID:').toString('hex')} 382c0f8eeae4ba47b7fc9d8c74dccf0b`),
    binary('\\DosDevices\\D:', 'efbeadde 0000100000000000'),
  ],
};

function windows(
  system: string,
  os: string,
  more: { facts?: 'windows-7'; dataDisk?: number } = {},
): LabWindows {
  const { recipe, nics = [], expected } = SYSTEMS[system]!;
  const { facts = 'windows-10', dataDisk = 0 } = more;
  const vmware = facts === 'windows-7' ? WINDOWS_7_ON_VMWARE : WINDOWS_10_ON_VMWARE;
  const disks = dataDisk === 0 ? {} : TWO_DISKS;
  const mice = MICE.map((path) => [path, [sz('Service', 'mouhid'), multiSz('UpperFilters', ['vmusbmouse'])]]);
  const keys: Keys = {
    ...recipe.system,
    ...vmware,
    ...GROUPS,
    ...disks,
    ...Object.fromEntries(mice),
    ...bulkKeys(20),
  };
  return {
    ...{ os, nics, identity: expected, facts, dataDisk, recipe: { ...recipe, system: keys } },
    target: {
      build: recipe.build,
      architecture: recipe.machine === 'x86' ? 'x86' : 'amd64',
      product: recipe.installation === 'Client' ? 'workstation' : 'server',
    },
  };
}

export const NINE: Readonly<Record<string, LabWindows>> = {
  'Windows 7 x86': windows('Windows 7 x86, two e1000 with static addresses', 'w7', { facts: 'windows-7' }),
  'Windows 8.1 x64': windows('Windows 8.1 x64', 'w8.1'),
  'Windows 10 x64 on BIOS': windows('Windows 10 x64 on BIOS, an e1000e by DHCP', 'w10'),
  'Windows 11 on UEFI': windows('Windows 11 on UEFI, which calls itself 10', 'w11'),
  'Server 2012 R2': windows('Windows Server 2012 R2, Core', '2k12R2'),
  'Server 2016': windows('Windows Server 2016', '2k16'),
  'Server 2019, two static cards': windows(
    'Windows Server 2019, two static vmxnet3, IPv6, a DNS suffix',
    '2k19',
  ),
  'Server 2022, two disks': windows('Windows Server 2022', '2k22', { dataDisk: 32 }),
  'Server 2025': windows('Windows Server 2025', '2k25'),
};
