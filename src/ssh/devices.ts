import type { BlockDevices } from '../access/block-devices.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { HostDevice, HostFacts } from './host-facts.js';

/** The disks of a running system and what its kernel has assembled from them. Nothing is opened or activated. */
export function sshDevices({ devices }: HostFacts): BlockDevices {
  const ofKind = (kind: HostDevice['kind']) => devices.filter((device) => device.kind === kind);
  const namesOf = async (kind: HostDevice['kind']) => ofKind(kind).map(({ device }) => device);
  const one = (device: string) => {
    const found = devices.find((candidate) => candidate.device === device);
    if (found === undefined) throw refused(`the host has no device ${device}`);
    return found;
  };
  const volumes = ofKind('mapper').filter(isVolume);
  return {
    disks: async () => (await namesOf('disk')).sort(byKernelName),
    partitions: () => namesOf('partition'),
    size: async (device) => one(device).size,
    async probe(device) {
      const { tags, partition, size } = one(device);
      if (partition === null) return { ...tags };
      return {
        PART_ENTRY_NUMBER: String(partition.number),
        PART_ENTRY_OFFSET: String(partition.start / SECTOR_BYTES),
        PART_ENTRY_SIZE: String(size / SECTOR_BYTES),
        ...tags,
      };
    },
    links: async (device) => [...one(device).links],
    arrays: () => namesOf('md'),
    // The names of an array's superblock are those that the running system has already given it.
    array: async (device) => ({ uuid: one(device).tags.UUID ?? '', name: '' }),
    volumes: async () => volumes.map(({ device }) => device),
    async volumeRecords() {
      const logical = volumes.filter(isLogical);
      return logical.map((volume) => {
        const [, group = '', own = ''] = /^LVM-(.{32})(.{32})$/.exec(volume.mapperUuid ?? '') ?? [];
        return {
          device: volume.device,
          group: volume.device.split('/')[2] ?? '',
          groupUuid: group,
          uuid: own,
          origin: originOf(volume, logical),
        };
      });
    },
    async activateVolumes() {},
    openLuks: async (device) => {
      throw refused(`${device} is not opened on a running system`);
    },
    dropNtfsJournal: async (device) => {
      throw refused(`${device} is not changed on a running system`);
    },
  };
}

const SECTOR_BYTES = 512;

/** LVM's internal volumes (`-real`, `-cow`, pools) have a suffix behind both identifiers. */
const isLogical = ({ mapperUuid }: HostDevice) => /^LVM-.{64}$/.test(mapperUuid ?? '');
const isVolume = (device: HostDevice) => isLogical(device) || !(device.mapperUuid ?? '').startsWith('LVM-');

/** A snapshot shares a part with its origin, and has another part for what was changed. */
function originOf(volume: HostDevice, logical: readonly HostDevice[]): string | null {
  if (volume.parts.length < 2) return null;
  const origin = logical.find(
    ({ device, parts }) =>
      device !== volume.device && parts.length === 1 && volume.parts.includes(parts[0] ?? ''),
  );
  return origin?.device ?? null;
}

/** `sdb` before `sdaa`. */
const byKernelName = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : 1);

const refused = (message: string) => new Hyper2kvmError('guest.call-failed', message);
