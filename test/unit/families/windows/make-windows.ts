import type { BlockDevices } from '../../../../src/access/block-devices.js';
import { type MemoryDisks, type MemoryFiles, memoryGuest } from '../../access/memory-guest.js';
import {
  binary,
  dword,
  type MadeKey,
  type MadeValue,
  makeHive,
  multiSz,
  sz,
} from '../../guest/registry/make-hive.js';

/** Keys of a hive by path, each with its values. */
export type Keys = Record<string, readonly MadeValue[]>;

export interface WindowsRecipe {
  build: number;
  product: string;
  edition: string;
  /** Absent before Vista. */
  installation?: string;
  machine: 'x86' | 'amd64' | 'arm64';
  firmware: 'bios' | 'uefi';
  adapters?: readonly Adapter[];
  /** `Select\Current`. */
  controlSet?: number;
  /** More of SYSTEM, below `ControlSetNNN` where the path begins with `@\`. */
  system?: Keys;
  software?: Keys;
  /** More files of the root. */
  files?: MemoryFiles;
  /** Elements of the default entry of the boot store. */
  loader?: Record<string, MadeValue>;
}

interface Adapter {
  guid: string;
  name: string;
  device: string;
  /** Of `Tcpip\Parameters\Interfaces\{GUID}`. */
  tcpip: readonly MadeValue[];
  /** Of `Control\Class\{4D36E972…}\NNNN`. */
  driver?: readonly MadeValue[];
  /** Of `Control\NetworkSetup2\Interfaces\{GUID}\Kernel`. */
  kernel?: readonly MadeValue[];
}

const NETWORK = '{4D36E972-E325-11CE-BFC1-08002BE10318}';

/** The bytes of a hive with these keys. Windows' own have several security cells and lists split under `ri`. */
export function hiveOf(keys: Keys, options: Parameters<typeof makeHive>[1] = {}): Buffer {
  const root: Node = { name: 'ROOT', values: [], keys: new Map() };
  for (const [path, values] of Object.entries(keys)) {
    let node = root;
    for (const name of path.split('\\')) {
      const next = node.keys.get(name.toUpperCase()) ?? { name, values: [], keys: new Map() };
      node.keys.set(name.toUpperCase(), next);
      node = next;
    }
    // A key has one value of a name.
    const names = new Set(values.map(({ name }) => name.toUpperCase()));
    node.values = [...node.values.filter(({ name }) => !names.has(name.toUpperCase())), ...values];
  }
  return makeHive(made(root), { leafKeys: 5, ...options });
}

interface Node {
  name: string;
  values: MadeValue[];
  keys: Map<string, Node>;
}

const made = ({ name, values, keys }: Node): MadeKey => ({
  name,
  values,
  keys: [...keys.values()].map(made),
  security: name.length % 2 === 0 ? 0 : 1,
  ...(name.startsWith('{') ? { className: 'DynDRootClass' } : {}),
});

export function systemKeys(recipe: WindowsRecipe): Keys {
  const { adapters = [], controlSet = 1, system = {} } = recipe;
  const set = `ControlSet${String(controlSet).padStart(3, '0')}`;
  const keys: Keys = {
    Select: [dword('Current', controlSet), dword('Default', controlSet), dword('Failed', 0)],
    // Another set, with other values: it is not the one that counts.
    [`ControlSet${controlSet === 1 ? '002' : '001'}\\Services\\Tcpip\\Parameters`]: [sz('Hostname', 'OLD')],
    [`${set}\\Services\\Tcpip\\Parameters`]: [sz('Hostname', 'WIN-TEST'), sz('Domain', 'example.com')],
    [`${set}\\Control\\ProductOptions`]: [
      sz('ProductType', /Server/.test(recipe.product) ? 'ServerNT' : 'WinNT'),
    ],
    [`${set}\\Control\\Session Manager\\Environment`]: [
      sz('PROCESSOR_ARCHITECTURE', { x86: 'x86', amd64: 'AMD64', arm64: 'ARM64' }[recipe.machine]),
    ],
  };
  for (const [index, adapter] of adapters.entries()) {
    const { guid, name, device, tcpip, driver = [], kernel } = adapter;
    keys[`${set}\\Services\\Tcpip\\Parameters\\Interfaces\\${guid.toLowerCase()}`] = tcpip;
    keys[`${set}\\Control\\Network\\${NETWORK}\\${guid}\\Connection`] = [
      sz('Name', name),
      sz('PnpInstanceID', device),
    ];
    keys[`${set}\\Control\\Class\\${NETWORK.toLowerCase()}\\${String(index).padStart(4, '0')}`] = [
      sz('NetCfgInstanceId', guid),
      ...driver,
    ];
    if (kernel !== undefined) keys[`${set}\\Control\\NetworkSetup2\\Interfaces\\${guid}\\Kernel`] = kernel;
  }
  for (const [path, values] of Object.entries(system)) {
    const full = path.replace(/^@\\/, `${set}\\`);
    keys[full] = [...(keys[full] ?? []), ...values];
  }
  return keys;
}

function softwareKeys({ build, product, edition, installation, software = {} }: WindowsRecipe): Keys {
  return {
    'Microsoft\\Windows NT\\CurrentVersion': [
      sz('CurrentBuildNumber', String(build)),
      sz('ProductName', product),
      sz('EditionID', edition),
      ...(installation === undefined ? [] : [sz('InstallationType', installation)]),
    ],
    'Microsoft\\Windows\\CurrentVersion': [sz('DevicePath', '%SystemRoot%\\inf', 2)],
    ...software,
  };
}

const MACHINES = { x86: [0x014c, 0x10b], amd64: [0x8664, 0x20b], arm64: [0xaa64, 0x20b] } as const;

/** The first bytes of a program for a machine, after Microsoft's "PE Format". */
export function peHead(machine: keyof typeof MACHINES): Buffer {
  const [number, magic] = MACHINES[machine];
  const head = Buffer.alloc(1024);
  head.write('MZ');
  head.writeUInt32LE(0x80, 0x3c);
  head.write('PE\0\0', 0x80, 'latin1');
  head.writeUInt16LE(number, 0x84);
  head.writeUInt16LE(magic === 0x20b ? 240 : 224, 0x94);
  head.writeUInt16LE(magic, 0x98);
  return head;
}

export const PARTITION_GUID = '8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b';
export const DISK_SIGNATURE = '5cbea03e';
export const DISK_GUID = '0b2394a9-095e-487d-8d48-719ecd4d78ca';
/** Devices of boot stores, as in the store of a Windows 10, and by their layout for an MBR disk. */
const GPT_DEVICE =
  '00000000000000000000000000000000 06000000 00000000 48000000 00000000 382c0f8eeae4ba47b7fc9d8c74dccf0b' +
  '00000000 00000000 a994230b5e097d488d48719ecd4d78ca 00000000000000000000000000000000';
/** The second partition, from 101 MiB on. */
const MBR_DEVICE =
  '00000000000000000000000000000000 06000000 00000000 48000000 00000000 00005006000000000000000000000000' +
  '00000000 01000000 3ea0be5c000000000000000000000000 00000000000000000000000000000000';
const LOADER = '{733b62e5-f608-11eb-825c-c112f60133ab}';

export function bootStore({ firmware, loader = {} }: Pick<WindowsRecipe, 'firmware' | 'loader'>): Buffer {
  const device = binary('Element', firmware === 'uefi' ? GPT_DEVICE : MBR_DEVICE);
  const path = `\\Windows\\system32\\winload.${firmware === 'uefi' ? 'efi' : 'exe'}`;
  const elements: Record<string, MadeValue> = {
    '11000001': device,
    '12000002': sz('Element', path),
    '12000004': sz('Element', 'Windows'),
    '21000001': device,
    '22000002': sz('Element', '\\Windows'),
    ...loader,
  };
  const manager = 'Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements';
  return hiveOf({
    [`${manager}\\23000003`]: [sz('Element', LOADER)],
    [`${manager}\\24000001`]: [multiSz('Element', [LOADER])],
    ...Object.fromEntries(
      Object.entries(elements).map(([name, value]) => [`Objects\\${LOADER}\\Elements\\${name}`, [value]]),
    ),
  });
}

/** The files of the system volume. */
export function rootFiles(recipe: WindowsRecipe): MemoryFiles {
  return {
    '/Windows/System32/config/SYSTEM': hiveOf(systemKeys(recipe)),
    '/Windows/System32/config/SOFTWARE': hiveOf(softwareKeys(recipe)),
    '/Windows/System32/config/SYSTEM.LOG1': Buffer.alloc(0),
    '/Windows/System32/ntoskrnl.exe': peHead(recipe.machine),
    '/Windows/System32/drivers/disk.sys': 'driver',
    '/Program Files/Common Files/': null,
    ...recipe.files,
  };
}

interface Partition {
  tags: Record<string, string>;
  start: number;
}

const ntfs = (uuid: string): Record<string, string> => ({ TYPE: 'ntfs', UUID: uuid });
const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const BASIC_DATA = 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7';
const MIB = 2048;

/** As Windows' setup divides a disk: a small system partition, then the big one. */
const LAYOUTS = {
  bios: {
    '/dev/sda1': {
      tags: {
        ...ntfs('A1'),
        PART_ENTRY_TYPE: '0x7',
        PART_ENTRY_FLAGS: '0x80',
        PART_ENTRY_UUID: `${DISK_SIGNATURE}-01`,
      },
      start: MIB,
    },
    '/dev/sda2': {
      tags: { ...ntfs('A2'), PART_ENTRY_TYPE: '0x7', PART_ENTRY_UUID: `${DISK_SIGNATURE}-02` },
      start: 101 * MIB,
    },
  },
  uefi: {
    '/dev/sda1': {
      tags: { TYPE: 'vfat', UUID: 'E1', PART_ENTRY_TYPE: ESP, PART_ENTRY_UUID: 'e1' },
      start: MIB,
    },
    '/dev/sda2': {
      tags: { PART_ENTRY_TYPE: 'e3c9e316-0b5c-4db8-817d-f92df00215ae', PART_ENTRY_UUID: 'e2' },
      start: 101 * MIB,
    },
    '/dev/sda3': {
      tags: { ...ntfs('A3'), PART_ENTRY_TYPE: BASIC_DATA, PART_ENTRY_UUID: PARTITION_GUID },
      start: 117 * MIB,
    },
  },
} as const satisfies Record<string, Record<string, Partition>>;

export const ROOTS = { bios: '/dev/sda2', uefi: '/dev/sda3' } as const;

/** The recipe's VM as INSPECT meets it. `more` adds partitions and what is on them. */
export function windowsDisks(
  recipe: WindowsRecipe,
  more: { partitions?: Record<string, Partition['tags']>; filesystems?: Record<string, MemoryFiles> } = {},
): MemoryDisks {
  const { firmware } = recipe;
  const place = firmware === 'uefi' ? '/EFI/Microsoft/Boot/BCD' : '/Boot/BCD';
  return {
    filesystems: {
      '/dev/sda1': { [place]: bootStore(recipe) },
      [ROOTS[firmware]]: rootFiles(recipe),
      ...more.filesystems,
    },
    devices: devicesOf(firmware, more.partitions ?? {}),
  };
}

function devicesOf(firmware: 'bios' | 'uefi', more: Record<string, Partition['tags']>): BlockDevices {
  const layout: Record<string, Partition> = { ...LAYOUTS[firmware] };
  for (const [device, tags] of Object.entries(more))
    layout[device] = {
      start: layout[device]?.start ?? 1000 * MIB,
      tags: { ...layout[device]?.tags, ...tags },
    };
  const names = Object.keys(layout).sort();
  return {
    ...memoryGuest({}).reader.devices,
    disks: async () => [...new Set(names.map((name) => name.replace(/\d+$/, '')))],
    partitions: async () => names,
    probe: async (device) => {
      if (device === '/dev/sda' && firmware === 'uefi') return { PTTYPE: 'gpt', PTUUID: DISK_GUID };
      const { tags, start } = layout[device] ?? { tags: {}, start: 0 };
      return {
        PART_ENTRY_SCHEME: firmware === 'uefi' ? 'gpt' : 'dos',
        PART_ENTRY_NUMBER: /\d+$/.exec(device)?.[0] ?? '',
        PART_ENTRY_OFFSET: String(start),
        PART_ENTRY_SIZE: String(100 * MIB),
        ...tags,
      };
    },
    size: async () => 1 << 30,
  };
}
