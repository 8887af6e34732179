import { VMWARE_SERVICES } from '../base/vmware-names.js';
import type { Place } from './capture.js';

/** Storage and network drivers that decide whether the guest starts, and whether it can go home. */
const DRIVER_SERVICES = [
  ...[
    'viostor',
    'vioscsi',
    'netkvm',
    'balloon',
    'BalloonService',
    'vioser',
    'VirtioSerial',
    'viorng',
    'VirtRng',
  ],
  ...[
    'storahci',
    'stornvme',
    'msahci',
    'atapi',
    'intelide',
    'pciide',
    'iaStor*',
    'LSI_SAS*',
    'LSI_SCSI',
    'pvscsi',
  ],
  ...[
    'symc8xx',
    'buslogic',
    'vmxnet3ndis6',
    'vmxnet*',
    'E1G60',
    'e1000',
    'e1*express',
    'e1i65x64',
    'e1i63x64',
  ],
] as const;

const OTHER_SERVICES = [
  'partmgr',
  'ClusDisk',
  'ClusSvc',
  'hyper2kvm-firstboot',
  'QEMU-GA',
  'QEMU Guest Agent VSS Provider',
];

const FILTERS = ['UpperFilters', 'LowerFilters'];
/** The class of network adapters. */
export const NETWORK_CLASS = '{4D36E972-E325-11CE-BFC1-08002BE10318}';

/** What of SYSTEM is captured; `set` is `ControlSet001` or another one. */
export function systemPlaces(set: string): Place[] {
  const control = `${set}\\Control`;
  const services = `${set}\\Services`;
  return [
    ...['Select', 'MountedDevices', 'HardwareConfig', 'Setup'].map(values),
    ...['CrashControl', 'ServiceGroupOrder', 'GroupOrderList', 'TimeZoneInformation', 'ProductOptions']
      .map((name) => `${control}\\${name}`)
      .map(values),
    ...['Order', 'HwOrder'].map((name) => values(`${control}\\NetworkProvider\\${name}`)),
    ...['Power', 'Memory Management', 'Environment'].map((name) =>
      values(`${control}\\Session Manager\\${name}`),
    ),
    { path: `${control}\\Class\\*`, take: 'values', only: FILTERS },
    { path: `${set}\\Enum\\*\\*\\*`, take: 'values', only: FILTERS },
    { path: `${control}\\Class\\${NETWORK_CLASS}\\*`, take: 'values', only: ADAPTER_VALUES },
    { path: `${control}\\Network\\${NETWORK_CLASS}\\*\\Connection`, take: 'values' },
    { path: `${control}\\NetworkSetup2\\Interfaces\\*\\Kernel`, take: 'values', only: KERNEL_VALUES },
    values(`${control}\\Nsi\\{eb004a01-9b1a-11d4-9123-0050047759bc}\\10`),
    values(`${services}\\Tcpip\\Parameters`),
    values(`${services}\\Tcpip\\Parameters\\PersistentRoutes`),
    { path: `${services}\\Tcpip\\Parameters\\Interfaces\\*`, take: 'values' },
    ...[...VMWARE_SERVICES, ...DRIVER_SERVICES, ...OTHER_SERVICES].map(
      (name): Place => ({ path: `${services}\\${name}`, take: 'below' }),
    ),
    ...['PCI#VEN_1AF4*', '*'].map(
      (name): Place => ({
        path: `${control}\\CriticalDeviceDatabase\\${name}`,
        take: 'values',
        ...(name === '*' ? { only: FILTERS } : {}),
      }),
    ),
    ...driverDatabase(),
  ];
}

/** From Windows 8 on: whether there is one, and what it has of virtio's devices and of our packages. */
function driverDatabase(): Place[] {
  const packages = ['h2k*', 'viostor.inf*', 'vioscsi.inf*', 'netkvm.inf*'];
  return [
    values('DriverDatabase'),
    { path: 'DriverDatabase\\DeviceIds\\PCI\\VEN_1AF4*', take: 'values' },
    { path: 'DriverDatabase\\DeviceIds\\{*', take: 'values', only: ['h2kviostor.inf', 'h2kvioscsi.inf'] },
    ...packages.flatMap((name): Place[] => [
      { path: `DriverDatabase\\DriverInfFiles\\${name}`, take: 'values' },
      { path: `DriverDatabase\\DriverPackages\\${name}`, take: 'below' },
    ]),
  ];
}

const ADAPTER_VALUES = [
  ...[
    'NetCfgInstanceId',
    'NetworkAddress',
    'ComponentId',
    'DeviceInstanceID',
    'DriverDesc',
    'NetLuidIndex',
    '*IfType',
  ],
];
const KERNEL_VALUES = ['PermanentAddress', 'CurrentAddress', 'NetLuidIndex', 'IfType', 'IfAlias'];

const CURRENT = 'Microsoft\\Windows NT\\CurrentVersion';
export const UNINSTALL = [
  'Microsoft\\Windows\\CurrentVersion\\Uninstall',
  'Wow6432Node\\Microsoft\\Windows\\CurrentVersion\\Uninstall',
] as const;
export const SHA2_UPDATE =
  'Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages\\Package_for_KB3033929*';

/** What of SOFTWARE is captured. */
export const SOFTWARE_PLACES: readonly Place[] = [
  values(CURRENT),
  { path: 'Microsoft\\Windows\\CurrentVersion', take: 'values', only: ['DevicePath', 'ProgramFilesDir'] },
  ...UNINSTALL.map(
    (path): Place => ({
      path: `${path}\\*`,
      take: 'values',
      only: ['DisplayName', 'DisplayVersion', 'Publisher', 'UninstallString', 'WindowsInstaller'],
    }),
  ),
  { path: 'Policies\\Microsoft\\Windows\\DeviceInstall\\Restrictions', take: 'below' },
  // Whom Windows asks nobody about when it installs a driver.
  { path: 'Microsoft\\SystemCertificates\\TrustedPublisher\\Certificates\\*', take: 'values' },
  { path: SHA2_UPDATE, take: 'values', only: ['CurrentState'] },
];

/** What of the boot configuration is captured: all objects. */
export const BOOT_STORE_PLACES: readonly Place[] = [{ path: 'Objects', take: 'below' }];

function values(path: string): Place {
  return { path, take: 'values' };
}
