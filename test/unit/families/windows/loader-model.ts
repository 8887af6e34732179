import { fileSignatures } from '../../../../src/guest/pe/signature.js';
import { openHive, type RegistryKey } from '../../../../src/guest/registry/hive.js';

/** A Windows as its boot loader meets it. */
export interface LoaderView {
  /** The SYSTEM hive. */
  system: Buffer;
  /** A file's content by its path from the Windows directory, in lower case with backslashes; null: none. */
  file(path: string): Buffer | null;
  architecture: 'x86' | 'amd64';
}

/** Ids of QEMU's devices, the most specific first, as Windows' PCI bus makes them. */
export const DISK_IDS = {
  'virtio-blk-pci': pciIds('1042', '11001AF4', '01'),
  'virtio-blk-pci, transitional': pciIds('1001', '00021AF4', '00'),
  'virtio-blk-pci of another vendor': pciIds('1042', '12345678', '01'),
  'virtio-scsi-pci': pciIds('1048', '11001AF4', '01'),
} as const;

function pciIds(device: string, subsystem: string, revision: string): string[] {
  const base = `VEN_1AF4&DEV_${device}`;
  return [
    `${base}&SUBSYS_${subsystem}&REV_${revision}`,
    `${base}&SUBSYS_${subsystem}`,
    `${base}&REV_${revision}`,
    base,
  ];
}

/**
 * Says why the boot loader would not load a driver for the disk, or why the kernel would not take it for the device; null
 * if both would. A model of its own, after WINDOWS-FIXES.md and Microsoft's documentation: it shares no code with the
 * planner. Signatures are checked for their presence and for the file's digest, not for who signed.
 */
export function loaderProblem(
  { system, file, architecture }: LoaderView,
  ids: readonly string[],
): string | null {
  const { root } = openHive(system);
  const current = root.key('Select')?.number('Current') ?? 0;
  const set = root.key(`ControlSet${String(current).padStart(3, '0')}`);
  if (set === null) return 'the current control set is missing';
  const name = root.key('DriverDatabase') === null ? criticalDevice(set, ids) : databaseService(root, ids);
  if (name === null) return 'no id leads to a service';
  const service = set.key(`Services\\${name}`);
  if (service === null) return `there is no service ${name}`;
  if (service.number('Type') !== 1) return 'it is no kernel driver';
  if (service.number('Start') !== 0) return 'it is not started at boot';
  const overrides = service.key('StartOverride')?.values() ?? [];
  if ([...overrides].some(({ data }) => data[0] !== 0)) return 'StartOverride says otherwise';
  const order = set.key('Control\\ServiceGroupOrder')?.texts('List') ?? [];
  const group = service.text('Group')?.toLowerCase();
  if (!order.some((ordered) => ordered.toLowerCase() === group)) return 'its group has no place in the order';
  const bus = service.key('Parameters')?.number('BusType') ?? null;
  if (bus !== (name.toLowerCase() === 'vioscsi' ? 0xa : 1)) return 'its bus type is wrong';
  const image =
    service
      .text('ImagePath')
      ?.toLowerCase()
      .replace(/^\\systemroot\\/, '') ?? '';
  const driver = file(image);
  if (driver === null) return `${image} is missing`;
  return fileProblem(driver, architecture);
}

function fileProblem(driver: Buffer, architecture: LoaderView['architecture']): string | null {
  const header = driver.length < 0x40 ? 0 : driver.readUInt32LE(0x3c);
  if (header === 0 || driver.toString('latin1', header, header + 4) !== 'PE\0\0') return 'it is no program';
  const machine = driver.readUInt16LE(header + 4);
  if (machine !== { x86: 0x14c, amd64: 0x8664 }[architecture]) return 'it is for another machine';
  if (architecture === 'x86') return null;
  const [signature] = fileSignatures(driver);
  if (signature === undefined) return 'it is not signed';
  return signature.isValid ? null : 'its signature is that of another file';
}

function criticalDevice(set: RegistryKey, ids: readonly string[]): string | null {
  for (const id of ids) {
    const key = set.key(`Control\\CriticalDeviceDatabase\\PCI#${id}`);
    const service = key?.text('Service') ?? null;
    if (service !== null && key?.text('ClassGUID')?.toUpperCase() === DISK_CLASS) return service;
  }
  return null;
}

const DISK_CLASS = '{4D36E97B-E325-11CE-BFC1-08002BE10318}';

function databaseService(root: RegistryKey, ids: readonly string[]): string | null {
  const database = root.key('DriverDatabase');
  for (const id of ids)
    for (const { name: inf, data } of database?.key(`DeviceIds\\PCI\\${id}`)?.values() ?? []) {
      if (data.length !== 4 || data[1] !== 0xff) continue;
      const label = database?.key(`DriverInfFiles\\${inf}`)?.text('Active') ?? null;
      const found = label === null ? null : (database?.key(`DriverPackages\\${label}`) ?? null);
      if (found === null || found.text('')?.toLowerCase() !== inf.toLowerCase()) continue;
      const section = found.key(`Descriptors\\PCI\\${id}`)?.text('Configuration') ?? null;
      const service =
        section === null ? null : (found.key(`Configurations\\${section}`)?.text('Service') ?? null);
      if (service !== null) return service;
    }
  return null;
}
