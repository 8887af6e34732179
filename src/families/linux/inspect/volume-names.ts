import type { Storage } from '../../../access/storage.js';
import { type DeviceContext, resolveDevice } from '../../../guest/device-names.js';
import type { GuestTree } from '../../../guest/tree.js';
import { shortLines } from '../../../text/lines.js';

type Volumes = Pick<Storage, 'unlocked' | 'arrays'>;
type Names = readonly (readonly [name: string, device: string])[];

/**
 * Returns the guest's own names of volumes that have other names in the appliance: crypttab(5) for
 * containers, mdadm.conf(5) and the name in the superblock for arrays. `/dev/mapper/cryptroot` →
 * `/dev/mapper/luks-<uuid>`, `/dev/md0` → `/dev/md127`. Pure.
 */
export function volumeAliases(
  tree: GuestTree,
  context: DeviceContext,
  { unlocked, arrays }: Volumes,
): Record<string, string> {
  return Object.fromEntries([
    ...superblockNames(arrays),
    ...arrays.flatMap(linksOf),
    ...configuredArrays(tree, arrays),
    ...containers(tree, context, unlocked),
  ]);
}

function containers(tree: GuestTree, context: DeviceContext, unlocked: Volumes['unlocked']): Names {
  return fields(tree, '/etc/crypttab').flatMap(([name, spec = '']) => {
    const device = resolveDevice(spec, context)?.device;
    const container = unlocked.find((candidate) => candidate.device === device);
    return container === undefined ? [] : [[`/dev/mapper/${name}`, `/dev/mapper/${container.name}`] as const];
  });
}

/** Names from lines `ARRAY /dev/md0 metadata=1.2 UUID=…`; the device may be given without its directory. */
function configuredArrays(tree: GuestTree, arrays: Volumes['arrays']): Names {
  const lines = ['/etc/mdadm/mdadm.conf', '/etc/mdadm.conf'].flatMap((path) => fields(tree, path));
  return lines.flatMap(([keyword, device = '', ...words]) => {
    if (keyword?.toUpperCase() !== 'ARRAY') return [];
    const uuid = words.find((word) => /^uuid=/i.test(word))?.slice('uuid='.length);
    const array = arrays.find((candidate) => candidate.uuid === uuid);
    const name = device.startsWith('/') ? device : `/dev/md/${device}`;
    return array === undefined ? [] : aliasesOf(name.replace(/^\/dev\/(md\/)?/, ''), array);
  });
}

/** `host:root` gives /dev/md/root, and `host:0` also gives /dev/md0. */
function superblockNames(arrays: Volumes['arrays']): Names {
  return arrays.flatMap((array) =>
    array.name === '' ? [] : aliasesOf(array.name.replace(/^.*:/, ''), array),
  );
}

/** udev's by-id links of an array and its partitions. */
function linksOf({ device, uuid, name, partitions }: Volumes['arrays'][number]): Names {
  const links = [`md-uuid-${uuid}`, ...(name === '' ? [] : [`md-name-${name}`])];
  return links.flatMap((link) => [
    [`/dev/disk/by-id/${link}`, device] as const,
    ...partitions.map((partition) => {
      const number = partition.slice(device.length).replace(/^p/, '');
      return [`/dev/disk/by-id/${link}-part${number}`, partition] as const;
    }),
  ]);
}

/**
 * Returns the names of the array and of its partitions: mdadm's udev rules put a `p` before the number if the
 * name ends in a digit.
 */
function aliasesOf(name: string, { device, partitions }: Volumes['arrays'][number]): Names {
  return namesOf(name).flatMap((own) => [
    [own, device] as const,
    ...partitions.map((partition) => {
      const number = partition.slice(device.length).replace(/^p/, '');
      return [`${own}${/\d$/.test(own) ? 'p' : ''}${number}`, partition] as const;
    }),
  ]);
}

function namesOf(name: string): string[] {
  const number = /^(?:md)?(\d+)$/.exec(name)?.[1];
  return number === undefined ? [`/dev/md/${name}`] : [`/dev/md${number}`, `/dev/md/${number}`];
}

/** Each of these lines is compared with all volumes. */
const MAX_LINES = 5_000;

/** Returns the words of each line that is not a comment. */
function fields(tree: GuestTree, path: string): string[][] {
  return shortLines(tree.text(path)?.text ?? '')
    .slice(0, MAX_LINES)
    .map((line) => line.trim().split(/\s+/))
    .filter(([first = '']) => first !== '' && !first.startsWith('#'));
}
