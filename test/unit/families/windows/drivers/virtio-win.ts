import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { authenticodeDigest } from '../../../../../src/guest/pe/file-digest.js';
import { isPe } from '../../../../../src/guest/pe/image.js';
import type { Root, RootKind } from '../../../../../src/guest/pe/microsoft-roots.js';
import { embedSignature, type Identity, makeCatalog, makeIdentity } from '../../../guest/pe/sign.ts';
import { makePe } from '../../../guest/pe.js';

/** Who signs the lab's drivers: `publisher` under a root that counts as Microsoft's. */
export interface Signers {
  roots: Root[];
  publisher: Identity;
  /** Under the root of cross-signed drivers. */
  maker: Identity;
  selfIssued: Identity;
  /** Of an authority that nobody knows. */
  stranger: Identity;
}

export function makeSigners(): Signers {
  const authority = (name: string) => makeIdentity(name, { isCa: true });
  const [product, cross, other] = [authority('Product'), authority('Cross'), authority('Other')];
  const root = (kind: RootKind, { certificate }: Identity): Root => ({
    kind,
    key: () => certificate.publicKey,
  });
  return {
    roots: [root('product', product), root('cross-signed', cross)],
    publisher: makeIdentity('Lab Hardware Compatibility Publisher', { issuer: product, isSmall: true }),
    maker: makeIdentity('Lab Maker', { issuer: cross, isSmall: true }),
    selfIssued: makeIdentity('Lab Itself', { isSmall: true }),
    stranger: makeIdentity('Lab Stranger', { issuer: other, isSmall: true }),
  };
}

export type Architecture = 'x86' | 'amd64';
/** Files of one package, by name. */
export type PackageFiles = Record<string, Buffer>;
export type DriverName = 'viostor' | 'vioscsi' | 'NetKVM' | 'Balloon' | 'vioserial';

const MACHINES = { x86: 0x14c, amd64: 0x8664 } as const;
export function program(text: string, architecture: Architecture): Buffer {
  const bytes = makePe([{ name: '.text', address: 0x1000, content: Buffer.from(text) }]);
  bytes.writeUInt16LE(MACHINES[architecture], 0x44);
  return bytes;
}

const signed = new Map<string, Buffer>();
/** The same program is in many folders. */
export function signedProgram(
  text: string,
  architecture: Architecture,
  signer: Identity,
  digest: 'sha1' | 'sha256' = 'sha256',
) {
  const key = `${text} ${architecture} ${digest} ${signer.certificate.fingerprint}`;
  const known = signed.get(key) ?? embedSignature(program(text, architecture), signer, digest);
  signed.set(key, known);
  return known;
}

export function catalogOf(files: PackageFiles, signer: Identity, algorithm: 'sha1' | 'sha256' = 'sha256') {
  const members = Object.values(files).map((bytes) => ({
    algorithm,
    digest: isPe(bytes) ? authenticodeDigest(bytes, algorithm) : createHash(algorithm).update(bytes).digest(),
  }));
  return makeCatalog(members, signer);
}

interface Parts {
  signer: Identity;
  catalogSigner: Identity;
  /** What its programs contain: another release has others. */
  text: string;
  digest: 'sha1' | 'sha256';
  /** Behind the architecture in the names of the models' sections: `.6.1`. */
  decoration: string;
  /** The directory of drivers as the INF names it. */
  directory: number;
}

/** The files of a driver's package, signed. */
export function driverPackage(
  driver: DriverName,
  architecture: Architecture,
  signer: Identity,
  parts: Partial<Parts> = {},
): PackageFiles {
  const { text = driver, digest = 'sha256', decoration = '', directory = 12 } = parts;
  const { stem, inf, libraries = [] } = DRIVERS[driver];
  const files: PackageFiles = {
    [`${stem}.inf`]: Buffer.from(inf(`NT${architecture}${decoration}`, directory), 'latin1'),
    [`${stem}.sys`]: signedProgram(text, architecture, parts.signer ?? signer, digest),
  };
  for (const name of libraries) files[name] = program(`library ${name}`, architecture);
  return { ...files, [`${stem}.cat`]: catalogOf(files, parts.catalogSigner ?? parts.signer ?? signer) };
}

/** Where a package stands in each of the layouts that virtio-win has had. */
export const LAYOUTS: Record<string, (driver: string, os: string, architecture: Architecture) => string> = {
  ISO: (driver, os, architecture) => `${driver}/${os}/${architecture}`,
  'ISO, by release': (_, os, architecture) => `${I386[architecture]}/${os}`,
  'RPM, by driver': (driver, os, architecture) => `drivers/by-driver/${driver}/${os}/${architecture}`,
  'RPM, by release': (_, os, architecture) => `drivers/by-os/${I386[architecture]}/${os}`,
  'RPM, long names': (_, os, architecture) => `drivers/${I386[architecture]}/${LONG_NAMES[os]}`,
};
const I386 = { x86: 'i386', amd64: 'amd64' } as const;
const LONG_NAMES: Record<string, string> = {
  w7: 'Win7',
  w8: 'Win8',
  'w8.1': 'Win8.1',
  w10: 'Win10',
  w11: 'Win11',
  '2k8R2': 'Win2008R2',
  '2k12': 'Win2012',
  '2k12R2': 'Win2012R2',
  '2k16': 'Win2016',
  '2k19': 'Win2019',
  '2k22': 'Win2022',
  '2k25': 'Win2025',
};

export function writePackage(root: string, folder: string, files: PackageFiles): void {
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(root, folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
}

const HEAD = (stem: string, className: string, guid: string) => `
[Version]
Signature="$Windows NT$"
Class=${className}
ClassGUID={${guid}}
Provider=%VENDOR%
DriverVer=07/29/2023,100.94.104.24800
CatalogFile=${stem}.cat
PnpLockdown=1

[SourceDisksNames]
1 = %DiskId1%,,,""
`;
const STRINGS = `
[Strings]
VENDOR = "Red Hat, Inc."
DiskId1 = "Installation Disk"
REG_DWORD = 0x00010001
`;

/** In the form of viostor.inf and vioscsi.inf. */
const storage =
  (stem: string, ids: readonly string[], busType: string, more = '') =>
  (decoration: string, directory: number) =>
    `${HEAD(stem, 'SCSIAdapter', '4d36e97b-e325-11ce-bfc1-08002be10318')}
[SourceDisksFiles]
${stem}.sys = 1,,

[DestinationDirs]
${stem}_Files_Driver = ${directory}

[Manufacturer]
%VENDOR%   = Models,${decoration}

[Models.${decoration}]
%Desc% = scsi_inst, ${ids[0]}, ${ids[1]}
%Desc% = scsi_inst, ${ids[2]}, ${ids[3]}

[${stem}_Files_Driver]
${stem}.sys,,,2

[scsi_inst]
CopyFiles=${stem}_Files_Driver

[scsi_inst.Services]
AddService = ${stem}, 0x00000002 , scsi_Service_Inst, scsi_EventLog_Inst

[scsi_Service_Inst]
ServiceType    = 1
StartType      = 0
ErrorControl   = 1
ServiceBinary  = %${directory}%\\${stem}.sys
LoadOrderGroup = SCSI miniport
AddReg         = pnpsafe_pci_addreg

[scsi_EventLog_Inst]
AddReg = scsi_EventLog_AddReg

[scsi_EventLog_AddReg]
HKR,,TypesSupported,%REG_DWORD%,7

[pnpsafe_pci_addreg]
HKR, "Parameters\\PnpInterface", "5", %REG_DWORD%, 0x00000001
HKR, "Parameters", "BusType", %REG_DWORD%, ${busType}
${more}${STRINGS}Desc = "VirtIO SCSI controller"
`;

/** In the form of netkvm.inf, with its co-installer. */
const network = (decoration: string) => `${HEAD('netkvm', 'Net', '4d36e972-e325-11ce-bfc1-08002be10318')}
[SourceDisksFiles]
netkvm.sys  = 1,,
netkvmco.dll = 1,,

[DestinationDirs]
kvmnet6.CopyFiles = 12
CoInstaller_CopyFiles = 11

[Manufacturer]
%VENDOR% = NetKVM, ${decoration}

[NetKVM.${decoration}]
%Desc% = kvmnet6.ndi, PCI\\VEN_1AF4&DEV_1000&SUBSYS_00011AF4&REV_00, PCI\\VEN_1AF4&DEV_1000
%Desc% = kvmnet6.ndi, PCI\\VEN_1AF4&DEV_1041&SUBSYS_11001AF4&REV_01, PCI\\VEN_1AF4&DEV_1041

[kvmnet6.ndi]
Characteristics = 0x84
AddReg          = kvmnet6.Reg
CopyFiles       = kvmnet6.CopyFiles

[kvmnet6.ndi.Services]
AddService      = netkvm, 2, kvmnet6.Service

[kvmnet6.ndi.CoInstallers]
CopyFiles       = CoInstaller_CopyFiles

[CoInstaller_CopyFiles]
netkvmco.dll

[kvmnet6.Reg]
HKR, Ndi, Service, 0, "netkvm"

[kvmnet6.CopyFiles]
netkvm.sys,,,2

[kvmnet6.Service]
ServiceType     = 1
StartType       = 3
ErrorControl    = 1
ServiceBinary   = %12%\\netkvm.sys
LoadOrderGroup  = NDIS
${STRINGS}Desc = "VirtIO Ethernet Adapter"
`;

/** In the form of balloon.inf and vioser.inf: both bring the same co-installer. */
const withCoInstaller = (stem: string, id: string) => (decoration: string) =>
  `${HEAD(stem, 'System', '4d36e97d-e325-11ce-bfc1-08002be10318')}
[DestinationDirs]
DefaultDestDir = 12
CoInstaller_CopyFiles = 11

[SourceDisksFiles]
${stem}.sys = 1,,
WdfCoInstaller01009.dll = 1

[Manufacturer]
%VENDOR%=Standard,${decoration}

[Standard.${decoration}]
%Desc%=Device, ${id}

[Device.NT]
CopyFiles=Drivers_Dir

[Drivers_Dir]
${stem}.sys

[Device.NT.Services]
AddService = ${stem},0x00000002, Service_Inst

[Service_Inst]
ServiceType    = 1
StartType      = 3
ErrorControl   = 1
ServiceBinary  = %12%\\${stem}.sys

[Device.NT.CoInstallers]
CopyFiles=CoInstaller_CopyFiles

[CoInstaller_CopyFiles]
WdfCoInstaller01009.dll
${STRINGS}Desc = "VirtIO Driver"
`;

const CO_INSTALLER = 'WdfCoInstaller01009.dll';
const DRIVERS: Record<
  DriverName,
  { stem: string; inf: (decoration: string, directory: number) => string; libraries?: string[] }
> = {
  viostor: {
    stem: 'viostor',
    inf: storage(
      'viostor',
      [
        'PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00',
        'PCI\\VEN_1AF4&DEV_1001',
        'PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01',
        'PCI\\VEN_1AF4&DEV_1042',
      ],
      '0x00000001',
      'HKR, "Parameters", DmaRemappingCompatible,0x00010001,0\n',
    ),
  },
  vioscsi: {
    stem: 'vioscsi',
    inf: storage(
      'vioscsi',
      [
        'PCI\\VEN_1AF4&DEV_1004&SUBSYS_00081AF4&REV_00',
        'PCI\\VEN_1AF4&DEV_1004',
        'PCI\\VEN_1AF4&DEV_1048&SUBSYS_11001AF4&REV_01',
        'PCI\\VEN_1AF4&DEV_1048',
      ],
      '0x0000000A',
    ),
  },
  NetKVM: { stem: 'netkvm', inf: network, libraries: ['netkvmco.dll'] },
  Balloon: {
    stem: 'balloon',
    inf: withCoInstaller('balloon', 'PCI\\VEN_1AF4&DEV_1002'),
    libraries: [CO_INSTALLER],
  },
  vioserial: {
    stem: 'vioser',
    inf: withCoInstaller('vioser', 'PCI\\VEN_1AF4&DEV_1003'),
    libraries: [CO_INSTALLER],
  },
};
