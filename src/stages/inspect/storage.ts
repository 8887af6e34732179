import type { ApplianceSession } from '../../guest/session.js';
import type { Filesystem, Identity } from './schema.js';

export interface Storage {
  partitions: Identity['partitions'];
  filesystems: Filesystem[];
}

const SECTOR_BYTES = 512;

/**
 * Partition tables and everything on them, from one `blkid` a device: its low-level probe names filesystem, UUIDs and the partition's own entry
 * (`PART_ENTRY_*`) in one call. Logical volumes and md arrays are active in the appliance and are listed by their own names.
 */
export async function readStorage(session: ApplianceSession): Promise<Storage> {
  const disks = await session.call('list_devices');
  const partitions = await session.call('list_partitions');
  const storage: Storage = { partitions: [], filesystems: [] };

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

  const types = new Set(storage.filesystems.map((filesystem) => filesystem.type));
  const stacked: string[] = [];
  if (types.has('linux_raid_member')) stacked.push(...(await session.call('list_md_devices')));
  // A physical volume may sit on an md array, so volumes are asked for whenever there is either.
  if (types.has('LVM2_member') || stacked.length > 0) stacked.push(...(await session.call('lvs')));
  for (const device of stacked) {
    const size = await session.call('blockdev_getsize64', device);
    storage.filesystems.push({ ...describe(device, await probe(session, device)), size });
  }
  return storage;
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
