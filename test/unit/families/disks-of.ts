import type { BlockDevices } from '../../../src/access/block-devices.js';
import { S_IFREG, writeNewc } from '../../../src/guest/cpio.js';
import { resolveDevice } from '../../../src/guest/device-names.js';
import type { Filesystem, Kernel, LinuxIdentity } from '../../../src/model/identity.js';
import { type MemoryDisks, type MemoryFiles, memoryGuest } from '../access/memory-guest.js';
import { type Files, type GuestRecipe, guestOf } from './guests.js';

/**
 * The recipe's guest as INSPECT meets it: its files on the filesystems where its fstab mounts them, with what
 * every such system has and the recipe has in its identity alone: programs, kernels, initramfs files.
 */
export function disksOf(recipe: GuestRecipe): MemoryDisks {
  const { identity, controllers } = guestOf(recipe);
  const files = recipe.files ?? {};
  const places = placesOf(files['/etc/fstab'] ?? '', identity, controllers);
  const filesystems: Record<string, MemoryFiles> = {};
  for (const { device } of identity.filesystems) filesystems[device] = {};
  for (const { key } of places) filesystems[key] = {};
  const put = (path: string, content: MemoryFiles[string], among: readonly Place[]) => {
    const place = among.find(({ mountpoint }) => mountpoint === '/' || path.startsWith(`${mountpoint}/`));
    if (place === undefined) throw new Error(`no filesystem for ${path}`);
    filesystems[place.key]![path.slice(place.mountpoint === '/' ? 0 : place.mountpoint.length)] = content;
  };
  for (const [path, content] of Object.entries({ ...systemFiles(identity, files), ...files }))
    put(path, content, places);
  for (const { mountpoint } of places) {
    const others = places.filter((place) => place.mountpoint !== mountpoint);
    if (mountpoint !== '/') put(`${mountpoint}/`, null, others);
  }
  const subvolumes = places.flatMap(({ options }, index) =>
    options === '' ? [] : [{ id: 256 + index, path: options.slice('subvol='.length) }],
  );
  return { filesystems, subvolumes, devices: devicesOf(identity) };
}

interface Place {
  mountpoint: string;
  options: string;
  /** Of the filesystem's files, see `MemoryDisks`. */
  key: string;
}

/**
 * What fstab mounts, deepest first. A root by a name that no filesystem is known by is where the recipe has
 * it.
 */
function placesOf(
  fstab: string,
  { filesystems, root }: LinuxIdentity,
  controllers: (string | null)[],
): Place[] {
  const places = fstab.split('\n').flatMap((line) => {
    const [spec = '#', mountpoint = '', , options = ''] = line.trim().split(/\s+/);
    const device = spec.startsWith('#') ? null : resolveDevice(spec, { filesystems, controllers })?.device;
    if (device === null || device === undefined || !mountpoint.startsWith('/')) return [];
    const subvolume = /(?:^|,)subvol=\/?([^,]+)/.exec(options)?.[1];
    const own = subvolume === undefined ? '' : `subvol=${subvolume}`;
    return [{ mountpoint, options: own, key: own === '' ? device : `${device},${own}` }];
  });
  if (places.every(({ mountpoint }) => mountpoint !== '/'))
    places.push({ mountpoint: '/', options: '', key: root });
  return places.sort((a, b) => b.mountpoint.length - a.mountpoint.length);
}

const PROGRAMS: Record<string, string> = { apt: 'apt-get' };

function systemFiles(identity: LinuxIdentity, files: Files): MemoryFiles {
  const programs = files['/bin'] === undefined ? '/bin' : '/usr/bin';
  return {
    '/usr/lib/os-release': `ID=${identity.os_distro}\nVERSION_ID="${identity.os_version}"\nPRETTY_NAME="${identity.os_name}"\n`,
    '/etc/os-release': '-> ../usr/lib/os-release',
    '/etc/hostname': `${identity.hostname}\n`,
    [`${programs}/busybox`]: elf(),
    [`${programs}/sh`]: `-> busybox`,
    [`/usr/bin/${PROGRAMS[identity.package_manager] ?? identity.package_manager}`]: null,
    ...(identity.selinux ? { '/etc/selinux/config': 'SELINUX=enforcing\n' } : {}),
    ...(identity.init_system === 'systemd' ? { '/usr/lib/systemd/systemd': null } : {}),
    ...Object.assign({}, ...identity.kernels.map(kernelFiles)),
  };
}

function elf(): Buffer {
  const header = Buffer.alloc(64);
  header.write('\x7fELF\x02\x01', 'latin1');
  header.writeUInt16LE(62, 18);
  return header;
}

function kernelFiles({ version, image, modules: directory, initramfs }: Kernel): MemoryFiles {
  if (initramfs === null) return { [image]: 'kernel' };
  const { lib, modules, texts = {} } = initramfs;
  const entry = (path: string, text: string) => ({ path, mode: S_IFREG | 0o644, data: Buffer.from(text) });
  const archive = writeNewc([
    ...modules.map((name) => entry(`${lib}/modules/${version}/kernel/${name}.ko`, name)),
    ...Object.entries(texts).map(([path, text]) => entry(path, text)),
  ]);
  // Arch names its files by the kernel's package.
  const [, flavour] = /\/initramfs-([a-z]+)\.img$/.exec(initramfs.path) ?? [];
  const own = flavour === undefined ? {} : { [`${directory}/pkgbase`]: `${flavour}\n` };
  return { [image]: 'kernel', [initramfs.path]: archive, ...own };
}

/** As blkid and LVM tell of them. */
function devicesOf({ filesystems, firmware }: LinuxIdentity): BlockDevices {
  const tags = new Map<string, Record<string, string>>();
  for (const filesystem of filesystems) tags.set(filesystem.device, tagsOf(filesystem, firmware));
  const names = filesystems.map(({ device }) => device);
  const volumes = names.filter((name) => !name.startsWith('/dev/sd'));
  // What is on logical volumes has a physical one.
  if (volumes.length > 0) tags.set('/dev/sdz9', { TYPE: 'LVM2_member', PART_ENTRY_NUMBER: '9' });
  const partitions = [...tags.keys()].filter((name) => name.startsWith('/dev/sd'));
  return {
    ...memoryGuest({}).reader.devices,
    disks: async () => [...new Set(partitions.map((name) => name.replace(/\d+$/, '')))].sort(),
    partitions: async () => partitions,
    volumes: async () => volumes,
    probe: async (device) => tags.get(device) ?? {},
    size: async () => 1 << 30,
  };
}

const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';

function tagsOf(
  { type, uuid, label, partition, partuuid, size }: Filesystem,
  firmware: LinuxIdentity['firmware'],
): Record<string, string> {
  return {
    TYPE: type,
    ...(uuid === null ? {} : { UUID: uuid }),
    ...(label === null ? {} : { LABEL: label }),
    ...(partition === null
      ? {}
      : { PART_ENTRY_NUMBER: String(partition), PART_ENTRY_SIZE: String(size / 512) }),
    ...(partuuid === null ? {} : { PART_ENTRY_UUID: partuuid }),
    PART_ENTRY_SCHEME: firmware === 'uefi' ? 'gpt' : 'dos',
    PART_ENTRY_TYPE: firmware === 'uefi' && type === 'vfat' ? ESP : '0x83',
  };
}
