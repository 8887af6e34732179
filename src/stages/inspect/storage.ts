import type { BlockDevices, VolumeRecord } from '../../access/block-devices.js';
import type { Storage } from '../../access/storage.js';
import { tolerate, type Warnings } from '../../access/tolerate.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { Filesystem, Identity } from '../../model/identity.js';
import type { LuksKey } from './luks-keys.js';
import { checkAllOpened, openContainers } from './unlock.js';

/**
 * The keys of encrypted layers, and the old controller of each disk, which the containers may be named by.
 */
export interface StorageKeys {
  keys: readonly LuksKey[];
  controllers: readonly (string | null)[];
  /** The identifiers in the images of each disk. */
  diskIds?: readonly (readonly string[])[];
}

const SECTOR_BYTES = 512;
/** Each costs a call or two, during which the appliance is occupied. */
const MAX_VOLUMES = 512;

/**
 * Returns the partition tables and everything on them. Logical volumes and md arrays are active and listed by
 * their own names.
 */
export async function readStorage(
  devices: BlockDevices,
  keys: StorageKeys,
  warnings: Warnings,
): Promise<Storage> {
  const disks = await devices.disks();
  const partitions = await devices.partitions();
  refuseTooMany(partitions);
  const storage: Storage = { partitions: [], filesystems: [], unlocked: [], arrays: [], duplicateGroups: [] };

  for (const [index, disk] of disks.entries()) {
    const ids = keys.diskIds?.[index] ?? [];
    const place = { disk: index, ...(ids.length === 0 ? {} : { disk_ids: [...new Set(ids)] }) };
    const members = partitions.filter((name) => partitionOf(name) === disk);
    const table: Identity['partitions'][number] = { disk: index, scheme: 'none', partitions: [] };
    for (const device of members) {
      const tags = await devices.probe(device);
      const number = Number(tags.PART_ENTRY_NUMBER ?? device.slice(disk.length).replace(/^p/, ''));
      const size = Number(tags.PART_ENTRY_SIZE ?? 0) * SECTOR_BYTES;
      const partuuid = tags.PART_ENTRY_UUID ?? null;
      table.scheme = tags.PART_ENTRY_SCHEME === 'gpt' ? 'gpt' : 'mbr';
      table.partitions.push({
        number,
        start: Number(tags.PART_ENTRY_OFFSET ?? 0) * SECTOR_BYTES,
        size,
        type: (tags.PART_ENTRY_TYPE ?? '').toLowerCase(),
        bootable: (Number(tags.PART_ENTRY_FLAGS ?? 0) & 0x80) !== 0,
        partuuid,
      });
      // An extended partition is a container and holds no data itself.
      if (table.scheme === 'mbr' && ['0x5', '0xf', '0x85'].includes(tags.PART_ENTRY_TYPE ?? '')) continue;
      storage.filesystems.push({
        ...describe(device, tags),
        ...(await linksOf(devices, device)),
        size,
        ...place,
        partition: number,
        partuuid,
        partlabel: tags.PART_ENTRY_NAME ?? null,
        parttype: (tags.PART_ENTRY_TYPE ?? '').toLowerCase() || null,
      });
    }
    if (table.scheme === 'gpt') table.guid = (await devices.probe(disk)).PTUUID?.toLowerCase();
    table.partitions.sort((a, b) => a.number - b.number);
    storage.partitions.push(table);
    if (members.length === 0) {
      const whole = describe(disk, await devices.probe(disk));
      const size = await devices.size(disk);
      const links = await linksOf(devices, disk);
      storage.filesystems.push({ ...whole, ...links, size, ...place, partition: 0 });
    }
  }

  await addVolumes(devices, storage, keys, warnings);
  return storage;
}

/** Returns the names that a running guest has for a device; nothing for a guest that is off. */
async function linksOf(devices: BlockDevices, device: string): Promise<Pick<Filesystem, 'links'>> {
  const links = await devices.links(device);
  return links.length === 0 ? {} : { links };
}

/**
 * Returns the size and content of a volume; null with a warning if it cannot be read, such as a logical
 * volume with a missing disk or a degraded array.
 */
function readVolume(devices: BlockDevices, device: string, warnings: Warnings): Promise<Filesystem | null> {
  const message = (reason: string) => `${device} was not examined: ${reason}`;
  const read = async () => {
    const size = await devices.size(device);
    const tags = await devices.probe(device);
    const partition = { partuuid: tags.PART_ENTRY_UUID ?? null, partlabel: tags.PART_ENTRY_NAME ?? null };
    return { ...describe(device, tags), ...partition, ...(await linksOf(devices, device)), size };
  };
  return tolerate(read, { warnings, message });
}

/**
 * Adds md, LUKS and LVM volumes, which may be stacked in any order: searches again until nothing new appears.
 */
async function addVolumes(
  devices: BlockDevices,
  storage: Storage,
  { keys, controllers }: StorageKeys,
  warnings: Warnings,
): Promise<void> {
  const { filesystems } = storage;
  const known = new Set(filesystems.map(({ device }) => device));
  for (;;) {
    const types = new Set(filesystems.map(({ type }) => type));
    storage.unlocked = await openContainers(devices, keys, { filesystems, controllers });
    const volumes = storage.unlocked.map(({ name }) => `/dev/mapper/${name}`);
    if (types.has('linux_raid_member')) {
      const arrays = await devices.arrays();
      const parts = (await devices.partitions()).filter((part) => arrays.includes(partitionOf(part)));
      volumes.push(...arrays, ...parts);
      for (const device of arrays.filter((array) => !known.has(array))) {
        const message = (reason: string) => `the names of ${device} are unknown: ${reason}`;
        const detail = await tolerate(() => devices.array(device), { warnings, message });
        const partitions = parts.filter((part) => partitionOf(part) === device);
        storage.arrays.push({ device, uuid: detail?.uuid ?? '', name: detail?.name ?? '', partitions });
      }
    }
    if (storage.unlocked.length > 0) {
      const message = (reason: string) => `not every volume group could be activated: ${reason}`;
      await tolerate(() => devices.activateVolumes(), { warnings, message });
    }
    // A physical volume may be on an array or in a container, so volumes are listed if there is either; a running
    // guest has opened its containers itself.
    if (types.has('LVM2_member') || types.has('crypto_LUKS') || volumes.length > 0)
      volumes.push(...(await devices.volumes()));
    const found = [...new Set(volumes)].filter((device) => !known.has(device));
    refuseTooMany([...known, ...found]);
    const records =
      types.has('LVM2_member') || found.length > 0 ? await volumeRecords(devices, warnings) : [];
    storage.duplicateGroups = duplicateGroups(records);
    for (const device of found) {
      known.add(device);
      const volume = await readVolume(devices, device, warnings);
      const record = records.find((candidate) => candidate.device === device);
      if (volume !== null) filesystems.push(withRecord(volume, record));
    }
    if (found.length === 0) break;
  }
  checkAllOpened(keys, { filesystems, controllers });
}

async function volumeRecords(devices: BlockDevices, warnings: Warnings): Promise<VolumeRecord[]> {
  const message = (reason: string) => `LVM's records of its volumes are unknown: ${reason}`;
  return (await tolerate(() => devices.volumeRecords(), { warnings, message })) ?? [];
}

function duplicateGroups(records: readonly VolumeRecord[]): string[] {
  const uuids = new Map<string, Set<string>>();
  for (const { group, groupUuid } of records)
    uuids.set(group, (uuids.get(group) ?? new Set()).add(groupUuid));
  return [...uuids].flatMap(([group, { size }]) => (size > 1 ? [group] : []));
}

/** Adds to a volume what only LVM knows of it. */
function withRecord(volume: Filesystem, record: VolumeRecord | undefined): Filesystem {
  if (record === undefined) return volume;
  const { groupUuid, uuid, origin } = record;
  const dm_uuid = `LVM-${`${groupUuid}${uuid}`.replaceAll('-', '')}`;
  return { ...volume, dm_uuid, ...(origin === null ? {} : { snapshot_of: origin }) };
}

function refuseTooMany(devices: readonly string[]): void {
  if (devices.length <= MAX_VOLUMES) return;
  throw new Hyper2kvmError('inspect.too-many-volumes', `the VM has ${devices.length} partitions and volumes`);
}

/** Returns `/dev/sda` for `/dev/sda3`, `/dev/md0` for `/dev/md0p1`. */
function partitionOf(device: string): string {
  return /\dp\d+$/.test(device) ? device.replace(/p\d+$/, '') : device.replace(/\d+$/, '');
}

function describe(device: string, tags: Record<string, string>): Filesystem {
  return {
    device,
    type: tags.TYPE ?? 'unknown',
    uuid: tags.UUID ?? null,
    label: tags.LABEL ?? null,
    size: 0,
    disk: null,
    partition: null,
    partuuid: null,
    partlabel: null,
    parttype: null,
    mountpoint: null,
    ...(tags.UUID_SUB === undefined ? {} : { member: tags.UUID_SUB }),
  };
}
