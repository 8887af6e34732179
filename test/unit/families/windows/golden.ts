import { type LabWindows, MICE } from './nine.js';

/**
 * What a conversion must make of the lab's Windows, written from WINDOWS-FIXES.md and not from what the product plans:
 * each value that is set or deleted, and nothing else. Values are as regedit writes them.
 */
type Change =
  | [key: string, line: string]
  | [key: string, deleted: { value: string }]
  | [key: string, deleted: 'key'];

const dword = (name: string, value: number): string =>
  `"${name}"=dword:${value.toString(16).padStart(8, '0')}`;

interface BootDriver {
  name: string;
  busType: number;
  /** The INF's, the specific one of each model first, with the forms without SUBSYS. */
  ids: Readonly<Record<string, 'first' | 'second'>>;
  parameters: readonly string[];
}
const BOOT_DRIVERS: readonly BootDriver[] = [
  {
    ...{ name: 'viostor', busType: 1 },
    ids: {
      'VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00': 'first',
      'VEN_1AF4&DEV_1001&REV_00': 'second',
      'VEN_1AF4&DEV_1001': 'second',
      'VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01': 'first',
      'VEN_1AF4&DEV_1042&REV_01': 'second',
      'VEN_1AF4&DEV_1042': 'second',
    },
    // The INF has it.
    parameters: [dword('DmaRemappingCompatible', 0)],
  },
  {
    ...{ name: 'vioscsi', busType: 0xa },
    ids: {
      'VEN_1AF4&DEV_1004&SUBSYS_00081AF4&REV_00': 'first',
      'VEN_1AF4&DEV_1004&REV_00': 'second',
      'VEN_1AF4&DEV_1004': 'second',
      'VEN_1AF4&DEV_1048&SUBSYS_11001AF4&REV_01': 'first',
      'VEN_1AF4&DEV_1048&REV_01': 'second',
      'VEN_1AF4&DEV_1048': 'second',
    },
    parameters: [],
  },
];
const DISK_CLASS = '{4D36E97B-E325-11CE-BFC1-08002BE10318}';
/** 9.0; the class little-endian; 2023-07-29 as FILETIME; 100.94.104.24800, last part first; zeros. */
const VERSION = [
  ...['00ff090000000000', '7be9364d25e3ce11bfc108002be10318', '00c0189eafc1d901', 'e06068005e006400'],
  '0000000000000000',
].join('');

function bootDriver({ name, busType, ids, parameters }: BootDriver, { facts, target }: LabWindows): Change[] {
  const service = `@\\Services\\${name}`;
  const changes: Change[] = [
    [service, dword('Type', 1)],
    [service, dword('Start', 0)],
    [service, dword('ErrorControl', 1)],
    [service, '"Group"="SCSI miniport"'],
    [service, `"ImagePath"=expand_sz:"system32\\\\drivers\\\\${name}.sys"`],
    [`${service}\\Parameters`, dword('BusType', busType)],
    ...parameters.map((line): Change => [`${service}\\Parameters`, line]),
    [`${service}\\Parameters\\PnpInterface`, dword('5', 1)],
  ];
  if (facts === 'windows-7')
    return [
      ...changes,
      ...Object.keys(ids).flatMap((id): Change[] => [
        [`@\\Control\\CriticalDeviceDatabase\\PCI#${id}`, `"Service"="${name}"`],
        [`@\\Control\\CriticalDeviceDatabase\\PCI#${id}`, `"ClassGUID"="${DISK_CLASS}"`],
      ]),
    ];
  const inf = `h2k${name}.inf`;
  const label = `${inf}_${target.architecture}_0000000000000000`;
  const packageKey = `DriverDatabase\\DriverPackages\\${label}`;
  return [
    ...changes,
    [`DriverDatabase\\DriverInfFiles\\${inf}`, `@=multi_sz:"${label}"`],
    [`DriverDatabase\\DriverInfFiles\\${inf}`, `"Active"="${label}"`],
    [`DriverDatabase\\DriverInfFiles\\${inf}`, '"Configurations"=multi_sz:"scsi_inst"'],
    [`DriverDatabase\\DeviceIds\\${DISK_CLASS.toLowerCase()}`, `"${inf}"=hex(0):`],
    [packageKey, `@="${inf}"`],
    [packageKey, '"Provider"="Red Hat, Inc."'],
    [packageKey, `"Version"=hex:${VERSION.replace(/..(?!$)/g, '$&,')}`],
    [`${packageKey}\\Configurations\\scsi_inst`, dword('ConfigFlags', 0)],
    [`${packageKey}\\Configurations\\scsi_inst`, `"Service"="${name}"`],
    ...Object.entries(ids).flatMap(([id, place]): Change[] => [
      [`DriverDatabase\\DeviceIds\\PCI\\${id}`, `"${inf}"=hex:${place === 'first' ? '01' : '02'},ff,00,00`],
      [`${packageKey}\\Descriptors\\PCI\\${id}`, '"Configuration"="scsi_inst"'],
    ]),
  ];
}

const off = (...services: string[]) =>
  services.map((name): Change => [`@\\Services\\${name}`, dword('Start', 4)]);
const MOUSE = '@\\Control\\Class\\{4d36e96f-e325-11ce-bfc1-08002be10318}';

const RESTORES = '@\\Services\\hyper2kvm-firstboot\\Restore';
const SERVICE = '@\\Services\\hyper2kvm-firstboot';
const FIRST_BOOT: readonly Change[] = [
  [SERVICE, dword('Type', 0x10)],
  [SERVICE, dword('Start', 2)],
  [SERVICE, dword('ErrorControl', 0)],
  [SERVICE, '"ObjectName"="LocalSystem"'],
  [SERVICE, '"ImagePath"=expand_sz:"\\"%ProgramFiles%\\\\hyper2kvm\\\\firstboot\\\\h2kfirst.exe\\""'],
  ['@\\Control\\CrashControl', dword('AutoReboot', 0)],
  [RESTORES, dword('Control\\\\CrashControl\\\\AutoReboot', 1)],
];

/** Beside the boot drivers. Services that are not named stay: Microsoft's own vm*, LSI_SAS, empty keys. */
const CHANGES: Record<LabWindows['facts'], readonly Change[]> = {
  'windows-7': [
    ['@\\Services\\msahci', dword('Start', 0)],
    ['@\\Services\\pciide', dword('Start', 0)],
    ['@\\Enum\\ACPI\\PNP0F03\\4&1D401FB5&0', { value: 'UpperFilters' }],
    ['@\\Control\\CriticalDeviceDatabase\\*PNP0F03', { value: 'UpperFilters' }],
    ...off('vmci', 'vmdebug', 'VMTools', 'VMMEMCTL', 'vmmouse'),
  ],
  'windows-10': [
    ['@\\Services\\storahci\\StartOverride', 'key'],
    ['@\\Services\\stornvme', dword('Start', 0)],
    ['@\\Services\\stornvme\\StartOverride', 'key'],
    ['@\\Services\\intelide\\StartOverride', 'key'],
    [MOUSE, '"UpperFilters"=multi_sz:"mouclass"'],
    [MOUSE, { value: 'LowerFilters' }],
    ['@\\Control\\NetworkProvider\\Order', '"ProviderOrder"="P9NP,RDPNP,LanmanWorkstation,webclient"'],
    ['@\\Control\\NetworkProvider\\HwOrder', '"ProviderOrder"=""'],
    ...off('vmci', 'vsock', 'vmhgfs', 'VMTools', 'VGAuthService', 'VMUsbMouse', 'vmmouse'),
    ...off('VMwareCAFCommAmqpListener'),
    ['@\\Services\\partmgr\\Parameters', dword('SanPolicy', 1)],
    // What the first boot restores: nothing was there.
    [RESTORES, '"Services\\\\partmgr\\\\Parameters\\\\SanPolicy"=hex(0):'],
  ],
};

/** Values of the first boot's service that are ours alone, and say nothing to Windows. */
const OWN_VALUES = /^"(?:DisplayName|Description|State|Plan)"=/;

/** Returns what each key of SYSTEM must hold afterwards, by its path, from what it held before (`hiveLines`). */
export function goldenSystem(before: ReadonlyMap<string, string>, windows: LabWindows): Map<string, string> {
  const set = `ControlSet00${windows.recipe.controlSet ?? 1}`;
  const keys = new Keys(before);
  const drivers = BOOT_DRIVERS.flatMap((driver) => bootDriver(driver, windows));
  const mice = MICE.map((path): Change => [path, { value: 'UpperFilters' }]);
  for (const [path, change] of [...drivers, ...mice, ...CHANGES[windows.facts], ...FIRST_BOOT]) {
    const key = path.replace(/^@/, set);
    if (change === 'key') keys.delete(key);
    else if (typeof change === 'string') keys.set(key, change);
    else keys.unset(key, change.value);
  }
  return keys.all;
}

/** The same of SOFTWARE. */
export function goldenSoftware(before: ReadonlyMap<string, string>): Map<string, string> {
  const keys = new Keys(before);
  const path = '%SystemRoot%\\\\inf;%SystemRoot%\\\\Drivers\\\\VirtIO';
  keys.set('Microsoft\\Windows\\CurrentVersion', `"DevicePath"=expand_sz:"${path}"`);
  return keys.all;
}

/** What is written beside the hives: of each package all files in one folder, boot drivers in Windows' own, too. */
export const GOLDEN_FILES: readonly string[] = [
  ...['viostor', 'vioscsi'].flatMap((name) => [
    ...['cat', 'inf', 'sys'].map((type) => `/Windows/Drivers/VirtIO/${name}.${type}`),
    `/Windows/System32/drivers/${name}.sys`,
  ]),
  ...['netkvm.cat', 'netkvm.inf', 'netkvm.sys', 'netkvmco.dll'].map(
    (name) => `/Windows/Drivers/VirtIO/${name}`,
  ),
  '/Program Files/hyper2kvm/firstboot/plan.tsv',
];

/** Arguments of the first boot's steps for disks and network cards, by the name in NINE; absent: none. */
export const GOLDEN_STEPS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'Windows 7 x86': [
    // Its gateway is a persistent route already.
    [
      ...['mac=00:0c:29:aa:00:02', 'name=Local Area Connection 2', 'address=10.3.58.5/24', 'dns=10.3.58.4'],
      'ghost=PCI\\VEN_8086&DEV_100F&SUBSYS_075015AD&REV_01\\4&B70F118&0&1888',
    ],
    [
      ...['mac=00:0c:29:aa:00:01', 'name=Local Area Connection', 'address=192.168.1.123/24'],
      ...['gateway=192.168.1.1', 'dns=192.168.1.112'],
      'ghost=PCI\\VEN_8086&DEV_100F&SUBSYS_075015AD&REV_01\\4&B70F118&0&0888',
    ],
  ],
  'Windows 10 x64 on BIOS': [
    [
      ...['mac=00:0c:29:f3:ff:de', 'name=Ethernet0'],
      'ghost=PCI\\VEN_8086&DEV_10D3&SUBSYS_07D015AD&REV_00\\000C29FFFFF3FFDE00',
    ],
  ],
  'Server 2019, two static cards': [
    [
      ...['mac=00:0c:29:a9:c8:b1', 'name=Ethernet0', 'address=10.1.2.3/23', 'address=10.1.2.4/23'],
      ...['address=2001:db8::10/64', 'gateway=10.1.2.1', 'gateway=10.1.3.1/20'],
      ...['dns=10.1.2.5', 'dns=10.1.2.6', 'dns=10.1.2.7', 'suffix=corp.example'],
      'ghost=PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\\FF290C00B1C8A9FE00',
    ],
    [
      // The new card does not have the address that was set for the old one.
      ...['mac=00:50:56:01:02:00', 'name=Backup', 'address=172.16.0.9/12', 'address=2001:db8::99/128'],
      'ghost=PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\\FF565000000201FE00',
    ],
  ],
  'Server 2022, two disks': [['mbr=deadbeef', 'gpt=8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b']],
};

/** Returns the arguments of those steps in the plan of a first boot. */
export function stepArguments(plan: string): string[][] {
  return plan
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(([, , verb]) => verb === 'disks' || verb === 'network')
    .map((fields) => fields.slice(3).sort());
}

/** Returns the keys without what is ours alone. */
export function withoutOwnValues(lines: ReadonlyMap<string, string>): Map<string, string> {
  return new Map(
    [...lines].map(([path, text]) => [
      path,
      text
        .split('\n')
        .filter((line) => !OWN_VALUES.test(line) || !path.endsWith('\\hyper2kvm-firstboot'))
        .join('\n'),
    ]),
  );
}

/** Keys and values whose names compare without case; a name that is there keeps its spelling. */
class Keys {
  readonly all: Map<string, string>;

  constructor(before: ReadonlyMap<string, string>) {
    this.all = new Map(before);
  }

  set(path: string, line: string): void {
    const key = this.#find(path) ?? this.#make(path);
    const [className = '', ...lines] = this.all.get(key)!.split('\n');
    const name = nameOf(line);
    const others = lines.filter((other) => nameOf(other).toUpperCase() !== name.toUpperCase());
    const same = lines.find((other) => !others.includes(other));
    const spelled = same === undefined ? line : `${nameOf(same)}${line.slice(name.length)}`;
    this.all.set(key, [className, ...[...others, spelled].sort()].join('\n'));
  }

  unset(path: string, name: string): void {
    const key = this.#find(path)!;
    const kept = this.all
      .get(key)!
      .split('\n')
      .filter((line) => nameOf(line).toUpperCase() !== `"${name}"`.toUpperCase());
    this.all.set(key, kept.join('\n'));
  }

  delete(path: string): void {
    const key = this.#find(path)!;
    for (const other of [...this.all.keys()])
      if (other === key || other.startsWith(`${key}\\`)) this.all.delete(other);
  }

  #find(path: string): string | undefined {
    return [...this.all.keys()].find((key) => key.toUpperCase() === path.toUpperCase());
  }

  #make(path: string): string {
    const slash = path.lastIndexOf('\\');
    const parent = path.slice(0, slash);
    const name = `${this.#find(parent) ?? this.#make(parent)}${path.slice(slash)}`;
    this.all.set(name, '');
    return name;
  }
}

/** `"Start"` of `"Start"=dword:00000000`; `@` of the default value. */
const nameOf = (line: string): string => /^(?:@|"(?:[^"\\]|\\.)*")(?==)/.exec(line)?.[0] ?? '';
