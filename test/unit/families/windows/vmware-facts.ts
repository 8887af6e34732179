import { dword, type MadeValue, multiSz, sz } from '../../guest/registry/make-hive.js';
import type { Keys } from './make-windows.js';

/** A service as Windows' own hives have it. */
const service = (start: number, image: string, group: string): MadeValue[] => [
  dword('Type', 1),
  dword('Start', start),
  dword('ErrorControl', 1),
  sz('ImagePath', image, 2),
  sz('Group', group),
];
/** What VMware's installer leaves in keys of services that are not installed. */
const EMPTY = [multiSz('vwdk.installers', ['MSI'])];
const MOUSE = '{4d36e96f-e325-11ce-bfc1-08002be10318}';
const KEYBOARD = '{4d36e96b-e325-11ce-bfc1-08002be10318}';
const CRASH = [
  dword('AutoReboot', 1),
  dword('CrashDumpEnabled', 2),
  sz('DumpFile', '%SystemRoot%\\MEMORY.DMP', 2),
];

/** After the hives of a Windows 7 and of a Windows 10 that ran on VMware. Paths begin in the control set. */
export const WINDOWS_7_ON_VMWARE: Keys = {
  '@\\services\\msahci': service(3, '\\SystemRoot\\system32\\drivers\\msahci.sys', 'SCSI Miniport'),
  '@\\services\\pciide': service(3, '\\SystemRoot\\system32\\drivers\\pciide.sys', 'System Bus Extender'),
  '@\\services\\intelide': service(0, 'system32\\drivers\\intelide.sys', 'System Bus Extender'),
  '@\\services\\atapi': service(0, 'system32\\drivers\\atapi.sys', 'SCSI Miniport'),
  '@\\services\\LSI_SAS': service(0, 'system32\\drivers\\lsi_sas.sys', 'SCSI Miniport'),
  '@\\services\\vmbus': service(0, 'system32\\drivers\\vmbus.sys', 'System Bus Extender'),
  '@\\services\\vmci': service(3, 'system32\\DRIVERS\\vmci.sys', 'Extended Base'),
  '@\\services\\vmdebug': service(1, '\\??\\C:\\Windows\\system32\\Drivers\\vmdebug.sys', 'Extended Base'),
  '@\\services\\VMTools': service(2, '"C:\\Program Files\\VMware\\VMware Tools\\VMwareService.exe"', ''),
  '@\\services\\VMMEMCTL': service(2, 'system32\\DRIVERS\\vmmemctl.sys', 'Extended Base'),
  '@\\services\\vmmouse': service(3, 'system32\\DRIVERS\\vmmouse.sys', 'Pointer Port'),
  '@\\services\\vmrawdsk': service(4, '\\??\\C:\\Program Files\\VMware\\vmrawdsk.sys', 'Base'),
  '@\\services\\partmgr\\Parameters': [dword('SanPolicy', 1)],
  '@\\Control\\CrashControl': CRASH,
  '@\\Control\\NetworkProvider\\Order': [sz('ProviderOrder', 'RDPNP,LanmanWorkstation,webclient')],
  [`@\\Control\\Class\\${MOUSE}`]: [sz('Class', 'Mouse'), multiSz('UpperFilters', ['mouclass'])],
  '@\\Enum\\ACPI\\PNP0F03\\4&1D401FB5&0': [sz('Service', 'i8042prt'), multiSz('UpperFilters', ['VMMouse'])],
  '@\\Control\\CriticalDeviceDatabase\\*PNP0F03': [
    sz('Service', 'i8042prt'),
    multiSz('UpperFilters', ['VMMouse']),
  ],
};

export const WINDOWS_10_ON_VMWARE: Keys = {
  DriverDatabase: [dword('Version', 0x0a000000)],
  '@\\Services\\storahci': service(0, 'System32\\drivers\\storahci.sys', 'SCSI Miniport'),
  '@\\Services\\storahci\\StartOverride': [dword('0', 3)],
  '@\\Services\\stornvme': service(3, 'System32\\drivers\\stornvme.sys', 'SCSI Miniport'),
  '@\\Services\\stornvme\\StartOverride': [dword('0', 3)],
  '@\\Services\\atapi': service(0, 'System32\\drivers\\atapi.sys', 'SCSI Miniport'),
  '@\\Services\\intelide': service(0, 'System32\\drivers\\intelide.sys', 'System Bus Extender'),
  '@\\Services\\intelide\\StartOverride': [dword('0', 3)],
  // Some guests have no service of that name.
  '@\\Services\\pciide': EMPTY,
  '@\\Services\\LSI_SAS': service(0, 'System32\\drivers\\lsi_sas.sys', 'SCSI Miniport'),
  '@\\Services\\vmbus': service(0, 'System32\\drivers\\vmbus.sys', 'System Bus Extender'),
  '@\\Services\\vmbus\\StartOverride': [dword('0', 3)],
  '@\\Services\\vmgid': service(3, '\\SystemRoot\\System32\\drivers\\vmgid.sys', ''),
  '@\\Services\\vmicheartbeat': service(3, '%systemroot%\\system32\\svchost.exe', ''),
  '@\\Services\\vmci': service(0, 'System32\\drivers\\vmci.sys', 'System Bus Extender'),
  '@\\Services\\vsock': service(0, 'system32\\DRIVERS\\vsock.sys', 'System Bus Extender'),
  '@\\Services\\pvscsi': EMPTY,
  '@\\Services\\vmxnet3ndis6': EMPTY,
  '@\\Services\\vmwefifw': EMPTY,
  '@\\Services\\vmhgfs': service(3, 'system32\\DRIVERS\\vmhgfs.sys', 'NetworkProvider'),
  '@\\Services\\VMTools': service(2, '"C:\\Program Files\\VMware\\VMware Tools\\vmtoolsd.exe"', ''),
  '@\\Services\\VGAuthService': service(2, '"C:\\Program Files\\VMware\\VGAuthService.exe"', ''),
  '@\\Services\\VMwareCAFCommAmqpListener': service(3, '"C:\\Program Files\\VMware\\caf.exe"', ''),
  '@\\Services\\VMUsbMouse': service(3, '\\SystemRoot\\System32\\drivers\\vmusbmouse.sys', 'Pointer Port'),
  '@\\Services\\vmmouse': service(3, '\\SystemRoot\\System32\\drivers\\vmmouse.sys', 'Pointer Port'),
  '@\\Control\\CrashControl': CRASH,
  '@\\Control\\NetworkProvider\\Order': [
    sz('ProviderOrder', 'P9NP,vmhgfs,RDPNP,LanmanWorkstation,webclient'),
  ],
  '@\\Control\\NetworkProvider\\HwOrder': [sz('ProviderOrder', 'VMHGFS')],
  [`@\\Control\\Class\\${MOUSE}`]: [
    sz('Class', 'Mouse'),
    multiSz('UpperFilters', ['vmmouse', 'mouclass']),
    multiSz('LowerFilters', ['VMUSBMOUSE']),
  ],
  [`@\\Control\\Class\\${KEYBOARD}`]: [multiSz('UpperFilters', ['kbdclass'])],
};
