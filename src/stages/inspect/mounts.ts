import { type DeviceContext, resolveDevice } from '../../fixers/linux/device-names.js';
import type { GuestTree } from '../../guest/tree.js';
import { ESP_MOUNTPOINTS } from './identity.js';
import type { Root } from './roots.js';
import type { Identity } from './schema.js';

/** Only what holds configuration or kernels is mounted: data filesystems stay untouched. */
const SYSTEM_MOUNTPOINTS = ['/usr', '/boot', '/boot/efi', '/efi', '/var'];
const MOUNTABLE = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'vfat', 'f2fs', 'jfs', 'reiserfs']);
const ESP_TYPES = new Set(['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']);

/**
 * The system's other mounts in mount order, from its fstab. An ESP that fstab does not mount (systemd's GPT auto-discovery, or nothing at all) is added
 * at the first of its usual places that exists. Pure.
 */
export function mountPoints(tree: GuestTree, devices: DeviceContext, root: Root): Identity['mounts'] {
  const mounts = new Map<string, Identity['mounts'][number]>();
  for (const line of (tree.text('/etc/fstab')?.text ?? '').split('\n')) {
    const [spec, mountpoint, , options] = line.trim().split(/\s+/);
    if (spec === undefined || mountpoint === undefined || !SYSTEM_MOUNTPOINTS.includes(mountpoint)) continue;
    const filesystem = resolveDevice(spec, devices);
    if (filesystem === null || !MOUNTABLE.has(filesystem.type)) continue;
    const subvolume = options?.split(',').find((option) => /^subvol(id)?=/.test(option)) ?? '';
    if (filesystem.device === root.device && subvolume === '') continue;
    mounts.set(mountpoint, { device: filesystem.device, mountpoint, options: subvolume });
  }
  const esp = findEsp(devices);
  if (esp !== null && ![...mounts.values()].some((mount) => mount.device === esp)) {
    const place = ESP_MOUNTPOINTS.find((path) => tree.exists(path) && !mounts.has(path)) ?? '/boot/efi';
    if (tree.isDirectory(place)) mounts.set(place, { device: esp, mountpoint: place, options: '' });
  }
  return [...mounts.values()].sort((a, b) => a.mountpoint.length - b.mountpoint.length);
}

function findEsp(devices: DeviceContext): string | null {
  const vfat = devices.filesystems.filter(
    (filesystem) => filesystem.type === 'vfat' && filesystem.disk !== null,
  );
  return vfat.find((filesystem) => ESP_TYPES.has(filesystem.parttype ?? ''))?.device ?? null;
}
