import { join } from 'node:path';
import type { GuestReader } from '../../access/guest-reader.js';
import { refusal } from '../../access/tolerate.js';
import { writeDurable } from '../../files/durable.js';
import { ESP_TYPES } from '../../guest/esp.js';
import { writeSnapshot } from '../../guest/snapshot-file.js';
import { GuestTree } from '../../guest/tree.js';
import type { Filesystem, LinuxIdentity } from '../../model/identity.js';
import type { Devices } from '../../model/plan.js';
import type { InspectContext, Inspected } from './inspection.js';

const SNAPSHOT = 'snapshot.json';
const LISTINGS = 'initramfs.json';

/** A system that nothing is changed in; `device` is where it was seen, `disk` the index of its disk. */
export interface OtherSystem {
  os_type: LinuxIdentity['os_type'];
  /** As os-release(5) writes an ID. */
  distro: string;
  name: string;
  version: string;
  device: string;
  disk: number | null;
}

/** AHCI and Intel's 82540 are driven by every system of the last twenty years. */
export const COMMON_DEVICES: Devices = { disk_bus: 'sata', nic_model: 'e1000' };

/** A system that nothing is known of. */
export const UNKNOWN: OtherSystem = {
  os_type: 'unknown',
  distro: 'unknown',
  name: 'an unknown system',
  version: '',
  device: '',
  disk: null,
};

/** Describes a VM of which nothing but its disks and partitions is known. */
export async function describeAsIs(
  reader: GuestReader,
  { system, reason, devices }: { system: OtherSystem; reason: string; devices: Devices },
  context: Pick<InspectContext, 'storage' | 'firmware' | 'workDirectory'>,
): Promise<Inspected> {
  const { storage, workDirectory } = context;
  const loaders = await efiLoaders(reader, storage.filesystems);
  const architecture =
    loaders.includes('bootaa64.efi') && !loaders.includes('bootx64.efi') ? 'aarch64' : 'x86_64';
  const firmware = context.firmware ?? (loaders.length > 0 && !hasBiosLoader(storage) ? 'uefi' : 'bios');
  const identity: LinuxIdentity = {
    os_type: system.os_type,
    os_distro: system.distro,
    os_version: system.version,
    os_name: system.name.includes(system.version) ? system.name : `${system.name} ${system.version}`,
    firmware,
    bootloader: 'unknown',
    init_system: 'unknown',
    network_manager: [],
    architecture,
    hostname: '',
    kernels: [],
    unified_images: [],
    initramfs_tool: 'none',
    package_manager: 'unknown',
    partitions: storage.partitions,
    filesystems: storage.filesystems,
    root: system.device,
    mounts: [],
    encrypted: storage.filesystems.some(({ type }) => type === 'crypto_LUKS'),
    vmware_tools: 'none',
    selinux: false,
    qemu_guest_agent: false,
    as_is: { reason, devices: architecture === 'x86_64' ? devices : COMMON_DEVICES },
  };
  const snapshotSha256 = await writeSnapshot(join(workDirectory, SNAPSHOT), new GuestTree([]));
  await writeDurable(join(workDirectory, LISTINGS), '{}');
  return { identity, snapshot: SNAPSHOT, snapshotSha256, initramfsListings: LISTINGS, warnings: [] };
}

/** Partitions that only a loader for a BIOS is in: such a disk starts with both. */
const BIOS_LOADERS = new Set([
  '83bd6b9d-7f41-11dc-be0b-001560b84f0f',
  '21686148-6449-6e6f-744e-656564454649',
]);

/** True if a disk can be started by a BIOS, as far as its partition table tells. */
export const hasBiosLoader = ({ partitions }: Pick<InspectContext['storage'], 'partitions'>): boolean =>
  partitions.some((table) =>
    table.partitions.some(
      ({ type, bootable }) => BIOS_LOADERS.has(type) || (bootable && !ESP_TYPES.has(type)),
    ),
  );

/** Names of the programs in EFI/BOOT of the ESPs, in lower case. */
async function efiLoaders(reader: GuestReader, filesystems: readonly Filesystem[]): Promise<string[]> {
  const names: string[] = [];
  for (const { device, type, parttype } of filesystems) {
    if (type !== 'vfat' || !ESP_TYPES.has(parttype ?? '')) continue;
    try {
      await reader.mount({ device, mountpoint: '/', options: '' }, 'ro');
      // FAT knows no upper and lower case.
      names.push(...(await reader.list('/EFI/BOOT')).map((name) => name.toLowerCase()));
    } catch (error) {
      refusal(error);
    } finally {
      await reader.unmountAll();
    }
  }
  return names;
}
