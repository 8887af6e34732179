import type { ApplianceSession } from '../../guest/session.js';
import type { Filesystem, Identity, Unlocked } from './schema.js';
import { checkAllOpened, type LuksKey, openContainers } from './unlock.js';

export interface Storage {
  partitions: Identity['partitions'];
  filesystems: Filesystem[];
  unlocked: Unlocked[];
  arrays: MdArray[];
}

/** An assembled md array. `device` is the appliance's name, which often is /dev/md127; `name` is the one in the members' superblock. */
export interface MdArray {
  device: string;
  /** As mdadm.conf has it: `xxxxxxxx:xxxxxxxx:xxxxxxxx:xxxxxxxx`. */
  uuid: string;
  name: string;
}

/** What opens encrypted layers, and the old controllers by disk that the containers may be named by. */
export interface StorageKeys {
  keys: readonly LuksKey[];
  controllers: readonly (string | null)[];
}

const SECTOR_BYTES = 512;

/**
 * Partition tables and everything on them, from one `blkid` a device: its low-level probe names filesystem, UUIDs and the partition's own entry
 * (`PART_ENTRY_*`) in one call. Logical volumes and md arrays are active in the appliance and are listed by their own names.
 */
export async function readStorage(session: ApplianceSession, keys: StorageKeys): Promise<Storage> {
  const disks = await session.call('list_devices');
  const partitions = await session.call('list_partitions');
  const storage: Storage = { partitions: [], filesystems: [], unlocked: [], arrays: [] };

  for (const [index, disk] of disks.entries()) {
    const members = partitions.filter((name) => partitionOf(name) === disk);
    const table: Identity['partitions'][number] = { disk: index, scheme: 'none', partitions: [] };
    for (const device of members) {
      const tags = await probe(session, device);
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
      // An extended partition is a container, not a place for data.
      if (table.scheme === 'mbr' && ['0x5', '0xf', '0x85'].includes(tags.PART_ENTRY_TYPE ?? '')) continue;
      storage.filesystems.push({
        ...describe(device, tags),
        size,
        disk: index,
        partition: number,
        partuuid,
        partlabel: tags.PART_ENTRY_NAME ?? null,
        parttype: (tags.PART_ENTRY_TYPE ?? '').toLowerCase() || null,
      });
    }
    table.partitions.sort((a, b) => a.number - b.number);
    storage.partitions.push(table);
    if (members.length === 0) {
      const whole = describe(disk, await probe(session, disk));
      const size = await session.call('blockdev_getsize64', disk);
      storage.filesystems.push({ ...whole, size, disk: index, partition: 0 });
    }
  }

  await addVolumes(session, storage, keys);
  return storage;
}

/** md, LUKS and LVM lie on each other in any order: another look is taken until nothing new appears. */
async function addVolumes(
  session: ApplianceSession,
  storage: Storage,
  { keys, controllers }: StorageKeys,
): Promise<void> {
  const { filesystems } = storage;
  for (;;) {
    const known = new Set(filesystems.map(({ device }) => device));
    const types = new Set(filesystems.map(({ type }) => type));
    storage.unlocked = await openContainers(session, keys, { filesystems, controllers });
    const volumes = storage.unlocked.map(({ name }) => `/dev/mapper/${name}`);
    if (types.has('linux_raid_member')) {
      const arrays = await session.call('list_md_devices');
      volumes.push(...arrays);
      for (const device of arrays.filter((array) => !known.has(array))) {
        const { uuid = '', name = '' } = await session.call('md_detail', device);
        storage.arrays.push({ device, uuid, name });
      }
    }
    if (storage.unlocked.length > 0) await session.call('vg_activate_all', true);
    // A physical volume may sit on an array or in a container, so volumes are asked for whenever there is either.
    if (types.has('LVM2_member') || volumes.length > 0) volumes.push(...(await session.call('lvs')));
    const found = volumes.filter((device) => !known.has(device));
    for (const device of found) {
      const size = await session.call('blockdev_getsize64', device);
      filesystems.push({ ...describe(device, await probe(session, device)), size });
    }
    if (found.length === 0) break;
  }
  checkAllOpened(keys, { filesystems, controllers });
}

/** `/dev/sda` of `/dev/sda3`, `/dev/md0` of `/dev/md0p1`. */
function partitionOf(device: string): string {
  return /\dp\d+$/.test(device) ? device.replace(/p\d+$/, '') : device.replace(/\d+$/, '');
}

async function probe(session: ApplianceSession, device: string): Promise<Record<string, string>> {
  try {
    return await session.call('blkid', device);
  } catch {
    // blkid ends with an error where it recognises nothing (an empty partition): that is an answer too.
    return {};
  }
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
  };
}
