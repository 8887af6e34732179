import type { Nic } from '../../../../src/model/hardware.js';
import type { WindowsIdentity } from '../../../../src/model/identity.js';
import { binary, dword, multiSz, sz } from '../../guest/registry/make-hive.js';
import type { WindowsRecipe } from './make-windows.js';

interface System {
  recipe: WindowsRecipe;
  nics?: readonly Nic[];
  expected: Partial<WindowsIdentity>;
}

const nic = (mac: string, pci_slot?: number): Nic => ({
  ...{ mac, network: null, model: null },
  ...(pci_slot === undefined ? {} : { pci_slot }),
});
const DHCP = [dword('EnableDHCP', 1), sz('NameServer', '')];
const VMWARE_TOOLS = {
  'Microsoft\\Windows\\CurrentVersion\\Uninstall\\{2A3A4BD6-6CE0-4E2A-80D4-1D0FF6ACBFBA}': [
    sz('DisplayName', 'VMware Tools'),
    sz('DisplayVersion', '11.0.5.15389592'),
  ],
};

/**
 * A guest of each release, with the odd facts of real ones. The expected values are Microsoft's names and
 * numbers, and the addresses of the VMware guests that the device instances are from.
 */
export const SYSTEMS: Record<string, System> = {
  'Windows 7 x86, two e1000 with static addresses': {
    recipe: {
      ...{ build: 7601, product: 'Windows 7 Ultimate', edition: 'Ultimate', installation: 'Client' },
      ...{ machine: 'x86', firmware: 'bios' },
      adapters: [
        {
          guid: '{6AAFC9A9-0542-4DB2-8760-CCFFA953737C}',
          name: 'Local Area Connection',
          device: 'PCI\\VEN_8086&DEV_100F&SUBSYS_075015AD&REV_01\\4&B70F118&0&0888',
          tcpip: [
            dword('EnableDHCP', 0),
            multiSz('IPAddress', ['192.168.1.123']),
            multiSz('SubnetMask', ['255.255.255.0']),
            multiSz('DefaultGateway', ['192.168.1.1']),
            multiSz('DefaultGatewayMetric', ['0']),
            sz('NameServer', '192.168.1.112'),
            sz('Domain', ''),
          ],
        },
        {
          guid: '{698E50A9-4F58-4D86-B61D-F42E58DCACF6}',
          name: 'Local Area Connection 2',
          device: 'PCI\\VEN_8086&DEV_100F&SUBSYS_075015AD&REV_01\\4&B70F118&0&1888',
          tcpip: [
            dword('EnableDHCP', 0),
            multiSz('IPAddress', ['10.3.58.5']),
            multiSz('SubnetMask', ['255.255.255.0']),
            multiSz('DefaultGateway', ['10.3.58.1']),
            multiSz('DefaultGatewayMetric', ['0']),
            sz('NameServer', '10.3.58.4'),
          ],
        },
      ],
      system: {
        '@\\Services\\Tcpip\\Parameters\\PersistentRoutes': [
          sz('0.0.0.0,0.0.0.0,10.3.58.1,-1', ''),
          sz('172.16.0.0,255.240.0.0,10.3.58.2,5', ''),
        ],
        '@\\Services\\msahci': [dword('Start', 3)],
        '@\\Services\\VMTools': [dword('Start', 2)],
        '@\\Services\\vmbus': [dword('Start', 0)],
      },
      software: {
        'Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages\\Package_for_KB3033929~31bf3856ad364e35~x86~~6.1.1.0':
          [dword('CurrentState', 112)],
      },
    },
    nics: [nic('00:0C:29:aa:00:01', 33), nic('00:0c:29:aa:00:02', 35)],
    expected: {
      ...{ os_version: '7', os_name: 'Windows 7 Ultimate', build: 7601, installation_type: 'Client' },
      ...{ architecture: 'i386', firmware: 'bios', vmware_tools: 'remnants', vmware_tools_version: null },
      smbios_uuid: null,
      interfaces: [
        {
          guid: '{698E50A9-4F58-4D86-B61D-F42E58DCACF6}',
          name: 'Local Area Connection 2',
          device: 'PCI\\VEN_8086&DEV_100F&SUBSYS_075015AD&REV_01\\4&B70F118&0&1888',
          ...{ mac: '00:0c:29:aa:00:02', mac_source: 'pci-slot', permanent_mac: null, dhcp: false },
          addresses: [{ address: '10.3.58.5', prefix: 24 }],
          gateways: [{ address: '10.3.58.1', metric: null }],
          ...{ dns: ['10.3.58.4'], suffix: null },
        },
        {
          guid: '{6AAFC9A9-0542-4DB2-8760-CCFFA953737C}',
          name: 'Local Area Connection',
          device: 'PCI\\VEN_8086&DEV_100F&SUBSYS_075015AD&REV_01\\4&B70F118&0&0888',
          ...{ mac: '00:0c:29:aa:00:01', mac_source: 'pci-slot', permanent_mac: null, dhcp: false },
          addresses: [{ address: '192.168.1.123', prefix: 24 }],
          gateways: [{ address: '192.168.1.1', metric: null }],
          ...{ dns: ['192.168.1.112'], suffix: null },
        },
      ],
      routes: [
        { destination: '0.0.0.0', mask: '0.0.0.0', gateway: '10.3.58.1', metric: null },
        { destination: '172.16.0.0', mask: '255.240.0.0', gateway: '10.3.58.2', metric: 5 },
      ],
    },
  },
  'Windows 8.1 x64': {
    recipe: {
      ...{ build: 9600, product: 'Windows 8.1 Pro', edition: 'Professional', installation: 'Client' },
      ...{ machine: 'amd64', firmware: 'bios' },
      system: { '@\\Control\\Session Manager\\Power': [dword('HiberbootEnabled', 1)] },
      files: { '/hiberfil.sys': Buffer.from('wake\0\0\0\0') },
    },
    expected: { os_version: '8.1', edition: 'Professional', fast_startup: true, hibernated: false },
  },
  'Windows 10 x64 on BIOS, an e1000e by DHCP': {
    recipe: {
      ...{ build: 18362, product: 'Windows 10 Enterprise', edition: 'Enterprise', installation: 'Client' },
      ...{ machine: 'amd64', firmware: 'bios', software: VMWARE_TOOLS },
      adapters: [
        {
          guid: '{5F3F359E-9D52-4566-9BEC-37EFDFB25ABE}',
          name: 'Ethernet0',
          device: 'PCI\\VEN_8086&DEV_10D3&SUBSYS_07D015AD&REV_00\\000C29FFFFF3FFDE00',
          tcpip: [...DHCP, multiSz('IPAddress', ['10.0.0.9']), multiSz('SubnetMask', ['255.0.0.0'])],
          kernel: [binary('PermanentAddress', '000c29f3ffde'), binary('CurrentAddress', '000c29f3ffde')],
        },
      ],
      system: {
        HardwareConfig: [sz('LastConfig', '{25194d56-caef-8737-5c44-50fe82f3ffde}')],
        '@\\Control\\TimeZoneInformation': [
          { name: 'RealTimeIsUniversal', type: 11, data: Buffer.from('0100000000000000', 'hex') },
        ],
      },
    },
    expected: {
      ...{ os_version: '10', build: 18362, architecture: 'x86_64', firmware: 'bios', clock: 'utc' },
      ...{ vmware_tools: 'msi', vmware_tools_version: '11.0.5.15389592' },
      smbios_uuid: '25194d56-caef-8737-5c44-50fe82f3ffde',
      interfaces: [
        {
          guid: '{5F3F359E-9D52-4566-9BEC-37EFDFB25ABE}',
          name: 'Ethernet0',
          device: 'PCI\\VEN_8086&DEV_10D3&SUBSYS_07D015AD&REV_00\\000C29FFFFF3FFDE00',
          ...{ mac: '00:0c:29:f3:ff:de', mac_source: 'permanent', permanent_mac: null, dhcp: true },
          ...{ addresses: [], gateways: [], dns: [], suffix: null },
        },
      ],
    },
  },
  'Windows 11 on UEFI, which calls itself 10': {
    recipe: {
      ...{ build: 22631, product: 'Windows 10 Pro', edition: 'Professional', installation: 'Client' },
      ...{ machine: 'amd64', firmware: 'uefi', controlSet: 2 },
    },
    expected: {
      ...{ os_version: '11', os_name: 'Windows 11 Pro', firmware: 'uefi', control_set: 2, root: '/dev/sda3' },
      ...{ bootloader: 'bootmgr', hostname: 'WIN-TEST', clock: 'localtime', encrypted: false },
    },
  },
  'Windows Server 2012 R2, Core': {
    recipe: {
      ...{ build: 9600, product: 'Windows Server 2012 R2 Standard', edition: 'ServerStandard' },
      ...{ installation: 'Server Core', machine: 'amd64', firmware: 'bios' },
    },
    expected: { os_version: '2012 R2', installation_type: 'Server Core', edition: 'ServerStandard' },
  },
  'Windows Server 2016': {
    recipe: {
      ...{ build: 14393, product: 'Windows Server 2016 Datacenter', edition: 'ServerDatacenter' },
      ...{ installation: 'Server', machine: 'amd64', firmware: 'uefi' },
    },
    expected: { os_version: '2016' },
  },
  'Windows Server 2019, two static vmxnet3, IPv6, a DNS suffix': {
    recipe: {
      ...{ build: 17763, product: 'Windows Server 2019 Standard', edition: 'ServerStandard' },
      ...{ installation: 'Server', machine: 'amd64', firmware: 'uefi' },
      adapters: [
        {
          guid: '{A0000000-0000-4000-8000-000000000001}',
          name: 'Ethernet0',
          device: 'PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\\FF290C00B1C8A9FE00',
          tcpip: [
            dword('EnableDHCP', 0),
            multiSz('IPAddress', ['10.1.2.3', '10.1.2.4']),
            multiSz('SubnetMask', ['255.255.254.0', '255.255.254.0']),
            multiSz('DefaultGateway', ['10.1.2.1', '10.1.3.1']),
            multiSz('DefaultGatewayMetric', ['0', '20']),
            sz('NameServer', '10.1.2.5,10.1.2.6 10.1.2.7'),
            sz('Domain', 'corp.example'),
          ],
          driver: [dword('NetLuidIndex', 0x8001), dword('*IfType', 6)],
        },
        {
          guid: '{A0000000-0000-4000-8000-000000000002}',
          name: 'Backup',
          device: 'PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\\FF565000000201FE00',
          tcpip: [
            dword('EnableDHCP', 0),
            multiSz('IPAddress', ['172.16.0.9']),
            multiSz('SubnetMask', ['255.240.0.0']),
          ],
          driver: [sz('NetworkAddress', '02-00-00-00-00-AA'), dword('NetLuidIndex', 2), dword('*IfType', 6)],
        },
      ],
      system: {
        '@\\Control\\Nsi\\{eb004a01-9b1a-11d4-9123-0050047759bc}\\10': [
          binary(
            '000000018000060020010DB8000000000000000000000010',
            '00000000000000000000000000000000 40 00000000',
          ),
          binary(
            '000000020000060020010db8000000000000000000000099',
            '00000000000000000000000000000000 80 00000000',
          ),
        ],
      },
    },
    nics: [nic('00:0c:29:a9:c8:b1'), nic('00:50:56:01:02:00')],
    expected: {
      os_version: '2019',
      interfaces: [
        {
          guid: '{A0000000-0000-4000-8000-000000000001}',
          name: 'Ethernet0',
          device: 'PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\\FF290C00B1C8A9FE00',
          ...{ mac: '00:0c:29:a9:c8:b1', mac_source: 'vmxnet3-id', permanent_mac: null, dhcp: false },
          addresses: [
            { address: '10.1.2.3', prefix: 23 },
            { address: '10.1.2.4', prefix: 23 },
            { address: '2001:db8::10', prefix: 64 },
          ],
          gateways: [
            { address: '10.1.2.1', metric: null },
            { address: '10.1.3.1', metric: 20 },
          ],
          ...{ dns: ['10.1.2.5', '10.1.2.6', '10.1.2.7'], suffix: 'corp.example' },
        },
        {
          guid: '{A0000000-0000-4000-8000-000000000002}',
          name: 'Backup',
          device: 'PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\\FF565000000201FE00',
          ...{ mac: '02:00:00:00:00:aa', mac_source: 'override', permanent_mac: '00:50:56:01:02:00' },
          dhcp: false,
          addresses: [
            { address: '172.16.0.9', prefix: 12 },
            { address: '2001:db8::99', prefix: 128 },
          ],
          ...{ gateways: [], dns: [], suffix: null },
        },
      ],
    },
  },
  'Windows Server 2022': {
    recipe: {
      ...{ build: 20348, product: 'Windows Server 2022 Standard', edition: 'ServerStandard' },
      ...{ installation: 'Server', machine: 'amd64', firmware: 'uefi' },
    },
    expected: { os_version: '2022', dynamic_disk: false },
  },
  'Windows Server 2025': {
    recipe: {
      ...{ build: 26100, product: 'Windows Server 2025 Standard', edition: 'ServerStandard' },
      ...{ installation: 'Server', machine: 'amd64', firmware: 'uefi' },
    },
    expected: { os_version: '2025' },
  },
};
