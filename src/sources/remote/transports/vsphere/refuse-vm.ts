import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { VmDisk, VmFacts } from './vm-facts.js';

/** What the API knows of a datastore. */
export interface DatastoreFacts {
  name: string;
  /** `VMFS`, `NFS`, `NFS41`, `vsan`, `VVOL`. */
  type: string;
  isAccessible: boolean;
}

const OBJECT_STORES = /^(vsan|vsanD|vvol)$/i;

const RAW = /^VirtualDiskRawDiskMapping|^VirtualDiskPartitionedRaw|^VirtualDiskRawDisk/;

const SHARING = {
  'multi-writer': 'is shared with other VMs (multi-writer)',
  bus: 'is on a controller whose bus is shared with other VMs (physical or virtual SCSI bus sharing)',
};

/**
 * Throws for a VM whose disks cannot be read as files, before any byte of it is: `remote.powered-on`,
 * `remote.datastore-unreadable`, `remote.unsupported-disk`, `remote.permission`.
 */
export function refuseVm(vm: VmFacts): void {
  const name = printable(vm.name);
  if (vm.connection !== 'connected')
    throw new Hyper2kvmError(
      'remote.datastore-unreadable',
      `${name} is ${printable(vm.connection, 40)}: its host or its files cannot be reached`,
    );
  if (vm.power !== 'poweredOff')
    throw new Hyper2kvmError(
      'remote.powered-on',
      vm.power === 'suspended'
        ? `${name} is suspended: the state of its memory belongs to its disks`
        : `${name} is running`,
    );
  if (vm.configFile === null || vm.memoryMib === null)
    throw new Hyper2kvmError(
      'remote.permission',
      `the user may not read the configuration of ${name} (System.Read)`,
    );
  if (vm.disks.length === 0) throw new Hyper2kvmError('remote.unsupported-disk', `${name} has no disks`);
  for (const disk of vm.disks) refuseDisk(disk, name);
  const twin = vm.disks.find(({ slot }, index) => vm.disks.findIndex((one) => one.slot === slot) < index);
  if (twin !== undefined)
    throw new Hyper2kvmError(
      'remote.unsupported-disk',
      `the server describes ${printable(twin.label, 80)} of ${name} without an address of its own (${twin.slot})`,
      { advice: 'Attach it to a SCSI, SATA, NVMe or IDE controller, or export the VM as OVF and drop that.' },
    );
}

function refuseDisk({ label, backing, chain, isEncrypted, sharing }: VmDisk, vm: string): void {
  const what = `${printable(label, 80)} of ${vm}`;
  const refused = (why: string, advice?: string) =>
    new Hyper2kvmError('remote.unsupported-disk', `${what} ${why}`, { advice });
  if (RAW.test(backing))
    throw refused(
      'is a raw device mapping: its data are on a LUN, not in a file',
      'Clone the VM with its disks converted to VMDK, and fetch the clone.',
    );
  if (isEncrypted)
    throw refused(
      'is encrypted',
      'Remove the VM’s encryption policy in vSphere first, or fetch a decrypted clone.',
    );
  if (sharing !== null) throw refused(SHARING[sharing], 'Detach it, and fetch it once with a VM of its own.');
  if (chain.length === 0 || chain.includes('')) throw refused('has no file');
}

/**
 * Throws for a VM that cannot be exported as streams: a snapshot and an export leave independent disks out, and
 * without its size nothing could be reserved.
 */
export function refuseExport(vm: VmFacts): void {
  for (const { label, mode, capacity } of vm.disks) {
    const what = `${printable(label, 80)} of ${printable(vm.name)}`;
    if (mode?.startsWith('independent_') === true)
      throw new Hyper2kvmError(
        'remote.unsupported-disk',
        `${what} is independent, and an export leaves such disks out`,
        { advice: 'Change its mode to “dependent” in vSphere, or fetch it from a VMFS or NFS datastore.' },
      );
    if (capacity === null)
      throw new Hyper2kvmError('remote.unsupported-disk', `the server does not tell the capacity of ${what}`);
  }
}

/** Whether the disks on a datastore are objects, of which there are no files. */
export function isObjectStore({ type }: DatastoreFacts): boolean {
  return OBJECT_STORES.test(type);
}

/** Throws for a datastore that cannot be read, with the transport of files also for one that has none. */
export function refuseDatastore(store: DatastoreFacts, transport: 'datastore' | 'nfc'): void {
  const { name, type, isAccessible } = store;
  if (!isAccessible)
    throw new Hyper2kvmError(
      'remote.datastore-unreadable',
      `the datastore ${printable(name, 80)} is not accessible`,
    );
  if (transport === 'datastore' && isObjectStore(store))
    throw new Hyper2kvmError(
      'remote.datastore-unreadable',
      `the datastore ${printable(name, 80)} is ${printable(type, 20)}: it has no files that could be read`,
      { advice: 'Leave `transport` out of the job.toml, or set it to "nfc": the VM is exported then.' },
    );
}
