import { describe, expect, it } from 'vitest';
import { bestSection, type WindowsTarget } from '../../../../src/guest/inf/decoration.js';
import { readDriverInf } from '../../../../src/guest/inf/package.js';
import { parseInf } from '../../../../src/guest/inf/sections.js';

const WINDOWS_10: WindowsTarget = {
  architecture: 'amd64',
  version: [10, 0],
  build: 19045,
  product: 'workstation',
};
const target = (changes: Partial<WindowsTarget>): WindowsTarget => ({ ...WINDOWS_10, ...changes });
const invalid = expect.objectContaining({ code: 'guest.inf-invalid' });

/** In the form of the virtio drivers' own INF files, with what those of other makers do beside it. */
const INF = `
; a comment
[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGUID={4d36e97b-e325-11ce-bfc1-08002be10318}
Provider=%VENDOR%
DriverVer=07/29/2023,100.94.104.24800 ; behind a value
CatalogFile=stor.cat
CatalogFile.NTx86=stor86.cat

[SourceDisksNames]
1 = %DiskId1%,,,\\common
[SourceDisksNames.amd64]
1 = %DiskId1%,,,""
[SourceDisksFiles]
stor.sys = 1,sub
storco.dll = 1
[DestinationDirs]
DefaultDestDir = 11
Stor_Files = 12

[Manufacturer]
%VENDOR% = Stor,NTamd64.6.1, NTamd64.10.0...14393,NTx86

[Stor.NTamd64.6.1]
%Desc% = old_inst, PCI\\VEN_1AF4&DEV_1001

[Stor.NTamd64.10.0...14393]
%Desc% = stor_inst, PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00, PCI\\ven_1af4&DEV_1001
"Two, quoted" = stor_inst, PCI\\VEN_1AF4&DEV_1042

[Stor.NTx86]
%Desc% = stor_inst, PCI\\VEN_1AF4&DEV_1001
%Desc% = nowhere, PCI\\VEN_1AF4&DEV_9999

[Stor.NTamd64.99.0]
%Desc% = stor_inst, PCI\\NOT_NAMED_BY_MANUFACTURER

[Stor_Files]
stor.sys,,,2
renamed.sys, storco.dll

[old_inst]
CopyFiles = @stor.sys

[stor_inst.NTamd64]
Include = machine.inf
Needs = Machine.Install, stor_common
CopyFiles = Stor_Files, @readme.txt

[stor_inst]
CopyFiles = Stor_Files

[stor_common.Services]
AddService = not_needed, 2, stor_Service

[stor_common]
AddReg = common_addreg
Needs = stor_inst.NTamd64

[stor_inst.NTamd64.Services]
AddService = stor, 0x00000002 , stor_Service, stor_EventLog
AddService = ,2
AddService = broken, 2, nothing
Needs = more.Services

[more.Services]
AddService = filter,, filter_Service

[stor_Service]
ServiceType    = %SERVICE_KERNEL_DRIVER%
StartType      = %SERVICE_BOOT_START%
ErrorControl   = 1
ServiceBinary  = %12%\\stor.sys
LoadOrderGroup = SCSI miniport
Dependencies   = a, b
AddReg         = pnp_addreg

[filter_Service]
DisplayName   = "Filter ""two"""
ServiceType   = 1
StartType     = 3
ServiceBinary = %13%\\filter.sys

[stor_inst.NTamd64.HW]
AddReg = hw_addreg

[stor_inst.NTamd64.CoInstallers]
AddReg = co_addreg
CopyFiles = co_files

[co_files]
WdfCoInstaller01009.dll

[pnp_addreg]
HKR, "Parameters\\PnpInterface", "5", %REG_DWORD%, 0x00000001
HKR, "Parameters", "BusType", %REG_DWORD%, \\
     0x0000000A
HKR, Parameters, DmaRemappingCompatible,0x00010001,0

[hw_addreg]
HKR, "Interrupt Management",, 0x00000010
HKR,,UpperFilters,0x00010008,"one","two"

[common_addreg]
HKLM,\\Software\\Stor\\,Path,0x00020002,"%%SystemRoot%%\\System32\\x.dll"
HKR,,Text,,value
HKR,,Binary,1,01,2,fF
HKR,,Four,0x00010001,01,02,03,04
HKR,,Eight,0x000B0001,01,00,00,00,00,00,00,00
HKR,,List,0x00010000,a,b
HKR,,Gone,0x4
HKR,,None,0x00020001
HKXX,,Unknown,0,1

[Strings]
VENDOR = "Red Hat, Inc."
diskid1 = "Disk"
Desc = "VirtIO SCSI; controller"
REG_DWORD = 0x00010001
SERVICE_KERNEL_DRIVER = 1
SERVICE_BOOT_START = 0
`;
const read = (changes: Partial<WindowsTarget> = {}, text = INF) =>
  readDriverInf(Buffer.from(text, 'latin1'), target(changes));

describe('a driver’s INF', () => {
  const driver = read();
  const [device] = driver.devices;

  it('says what the package is', () => {
    const { devices, ...version } = driver;
    expect(version).toEqual({
      className: 'SCSIAdapter',
      classGuid: '{4D36E97B-E325-11CE-BFC1-08002BE10318}',
      provider: 'Red Hat, Inc.',
      driverVersion: { date: '2023-07-29', version: '100.94.104.24800' },
      catalog: 'stor.cat',
    });
    expect(read({ architecture: 'x86' }).catalog).toBe('stor86.cat');
    expect(devices).toHaveLength(2);
  });

  it('has the devices of the models section for this Windows, ids in their order', () => {
    expect(device).toMatchObject({
      description: 'VirtIO SCSI; controller',
      manufacturer: 'Red Hat, Inc.',
      ids: ['PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00', 'PCI\\VEN_1AF4&DEV_1001'],
    });
    expect(device?.install.section).toBe('stor_inst.ntamd64');
    expect(driver.devices[1]?.description).toBe('Two, quoted');
    const sections = (changes: Partial<WindowsTarget>) =>
      read(changes).devices.map(({ install }) => install.section);
    expect(sections({ build: 10240 })).toEqual(['old_inst']);
    expect(sections({ version: [6, 1], build: 7601 })).toEqual(['old_inst']);
    expect(sections({ version: [6, 0], build: 6002 })).toEqual([]);
    expect(sections({ architecture: 'x86', version: [6, 1] })).toEqual(['stor_inst']);
    expect(sections({ architecture: 'arm64' })).toEqual([]);
  });

  it('has the files, where they are in the package and where they go', () => {
    expect(device?.install.files).toEqual([
      { source: 'stor.sys', sourceDirectory: 'sub', target: 'stor.sys', directory: 12, subdirectory: '' },
      { source: 'storco.dll', sourceDirectory: '', target: 'renamed.sys', directory: 12, subdirectory: '' },
      { source: 'readme.txt', sourceDirectory: '', target: 'readme.txt', directory: 11, subdirectory: '' },
      {
        source: 'WdfCoInstaller01009.dll',
        sourceDirectory: '',
        target: 'WdfCoInstaller01009.dll',
        directory: 11,
        subdirectory: '',
      },
    ]);
    expect(read({ architecture: 'x86' }).devices[0]?.install.files[0]?.sourceDirectory).toBe('common\\sub');
  });

  it('has the services with their values and what is below their keys', () => {
    const number = (name: string, value: number, key: string) => {
      const data = Buffer.alloc(4);
      data.writeUInt32LE(value);
      return { root: 'HKR', key, name, type: 4, data, mode: 'set' };
    };
    expect(device?.install.services).toEqual([
      {
        name: 'stor',
        isFunctionDriver: true,
        displayName: null,
        type: 1,
        start: 0,
        errorControl: 1,
        binary: { directory: 12, path: 'stor.sys' },
        loadOrderGroup: 'SCSI miniport',
        dependencies: ['a', 'b'],
        registry: [
          number('5', 1, 'Parameters\\PnpInterface'),
          number('BusType', 10, 'Parameters'),
          number('DmaRemappingCompatible', 0, 'Parameters'),
        ],
      },
      expect.objectContaining({
        name: 'filter',
        isFunctionDriver: false,
        displayName: 'Filter "two"',
        binary: { directory: 13, path: 'filter.sys' },
        errorControl: 0,
      }),
    ]);
  });

  it('has registry values of every type, for the device and for its driver', () => {
    const values = device?.install.registry.map(({ root, key, name, type, data, mode }) =>
      [root, key, name, type, data.toString('hex'), mode].join(' '),
    );
    const utf16 = (text: string) => Buffer.from(text, 'utf16le').toString('hex');
    expect(values).toEqual([
      `HKLM Software\\Stor Path 2 ${utf16('%SystemRoot%\\System32\\x.dll\0')} keep`,
      `HKR  Text 1 ${utf16('value\0')} set`,
      'HKR  Binary 3 0102ff set',
      'HKR  Four 4 01020304 set',
      'HKR  Eight 11 0100000000000000 set',
      `HKR  List 7 ${utf16('a\0b\0\0')} set`,
      `HKR  Gone 1 ${utf16('\0')} delete`,
      'HKR  None 0  set',
    ]);
    expect(device?.install.hardware).toEqual([
      expect.objectContaining({ key: 'Interrupt Management', name: null }),
      expect.objectContaining({ name: 'UpperFilters', type: 7, mode: 'append' }),
    ]);
    expect(device?.install.includes).toEqual(['machine.inf']);
  });

  it('is read in UTF-16 of either order, in UTF-8 and in Windows-1252, with any line ends', () => {
    const text = INF.replace('Red Hat, Inc.', 'Größe').replaceAll('\n', '\r\n');
    const little = Buffer.from(`\ufeff${text}`, 'utf16le');
    const forms = [
      little,
      Buffer.from(little).swap16(),
      Buffer.from(`\ufeff${text}`, 'utf8'),
      Buffer.from(text, 'latin1'),
    ];
    for (const bytes of forms) expect(readDriverInf(bytes, WINDOWS_10).provider).toBe('Größe');
  });

  it('is refused where it has no version, and where it is larger than any', () => {
    expect(() => parseInf(Buffer.from('[Strings]\na=b\n'))).toThrow(invalid);
    expect(() => parseInf(Buffer.alloc(9 * 1024 ** 2, '\n'))).toThrow(invalid);
    expect(() => parseInf(Buffer.from(`[Version]\n${'\n'.repeat(300_000)}`))).toThrow(invalid);
  });

  it('cannot make much of little: long strings named often, sections that name each other', () => {
    const strings = `[Strings]\ns="${'x'.repeat(10_000)}"\n`;
    expect(() => read({}, `[Version]\nProvider=${'%s%'.repeat(20)}\n${strings}`)).toThrow(invalid);
    expect(() => read({}, `[Version]\nProvider=${'%s%'.repeat(500)}\n[Strings]\ns=x\n`)).toThrow(invalid);
    const files = `[f]\n${'a.sys\n'.repeat(10_000)}`;
    const installs = Array.from({ length: 200 }, (_, n) => `[i${n}]\nCopyFiles=f\n`).join('');
    const models = Array.from({ length: 200 }, (_, n) => `d=i${n},ID${n}\n`).join('');
    const hostile = `[Version]\n[Manufacturer]\nm=M,NTamd64\n[M.NTamd64]\n${models}${installs}${files}`;
    expect(() => read({}, hostile)).toThrow(invalid);
  });
});

describe('the section for a Windows', () => {
  const best = (names: string[], changes: Partial<WindowsTarget> = {}, undecorated: 'all' | 'x86' = 'all') =>
    bestSection(new Set(names.map((name) => name.toLowerCase())), 'M', target(changes), undecorated);

  it.each<[string[], Partial<WindowsTarget>, string | null]>([
    [['M', 'M.NT', 'M.NTamd64'], {}, 'm.ntamd64'],
    [['M', 'M.NT', 'M.NTx86'], {}, 'm.nt'],
    [['M.NTamd64', 'M.NTamd64.6.1', 'M.NTamd64.6.3', 'M.NTamd64.10.0'], {}, 'm.ntamd64.10.0'],
    [['M.NTamd64', 'M.NTamd64.6.1', 'M.NTamd64.6.3', 'M.NTamd64.10.0'], { version: [6, 2] }, 'm.ntamd64.6.1'],
    [['M.NTamd64.10.0', 'M.NTamd64.10.0...14393', 'M.NTamd64.10.0...22000'], {}, 'm.ntamd64.10.0...14393'],
    [['M.NTamd64.10.0', 'M.NTamd64.10.0...14393'], { build: 10586 }, 'm.ntamd64.10.0'],
    [['M.NTamd64.6.1', 'M.NTamd64.6.1.1', 'M.NTamd64.6.1.3'], { product: 'server' }, 'm.ntamd64.6.1.3'],
    [['M.NTamd64.6.1', 'M.NTamd64.6.1.3'], {}, 'm.ntamd64.6.1'],
    [['M.NTamd64.6.1.3'], {}, null],
    [['M.NTamd64.5.2.0x2'], { product: 'domain-controller' }, 'm.ntamd64.5.2.0x2'],
    [['M.NTamd64.10.0..0x80'], {}, null],
    [['M.NTx86', 'M.NTarm64'], { architecture: 'arm64' }, 'm.ntarm64'],
    [['M.Services', 'M.NTfoo', 'M.NTamd64.x'], {}, null],
  ])('of %j for %j is %s', (names, changes, expected) => {
    expect(best(names, changes)).toBe(expected);
  });

  it('without an architecture is for x86 where it lists devices', () => {
    expect(best(['M', 'M.NT.6.1'], {}, 'x86')).toBeNull();
    expect(best(['M', 'M.NT.6.1'], { architecture: 'x86' }, 'x86')).toBe('m.nt.6.1');
  });
});
