import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal, tolerate, type Warnings } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { type DeviceContext, filesystemsNamed, resolveDevice } from '../../../guest/device-names.js';
import { parseFstab } from '../../../guest/fstab.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { Mount } from '../../../model/identity.js';
import type { RootCandidate } from '../../base/inspection.js';
import { duplicateUuid } from './choose-root.js';
import { ESP_MOUNTPOINTS, ESP_TYPES } from './identity.js';

/** Mount points with configuration or kernels. Data filesystems are not mounted. */
const SYSTEM_MOUNTPOINTS = ['/usr', '/boot', '/boot/efi', '/efi', '/var'];
const MOUNTABLE = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'vfat', 'f2fs', 'jfs', 'reiserfs']);

/**
 * Mounts, read-only and below the root that is mounted already, what the guest's fstab mounts and an ESP that
 * fstab does not mention (it has systemd's GPT auto-discovery, or nothing at all). `tree` has /etc. Returns
 * the mounts in order. Throws `inspect.unmountable` for /usr and /boot; any other that cannot be mounted
 * gives a warning.
 */
export async function mountSystem(
  reader: GuestReader,
  tree: GuestTree,
  devices: DeviceContext,
  root: RootCandidate,
  warnings: Warnings,
): Promise<Mount[]> {
  const mounts: Mount[] = [];
  const add = async (mount: Mount) => {
    const mounting = async () => {
      await reader.mount(mount, 'ro');
      mounts.push(mount);
    };
    // Without the kernels or the programs the plan would be wrong.
    if (NEEDED.has(mount.mountpoint)) return needed(mounting, mount);
    const message = (reason: string) => `${mount.mountpoint} (${mount.device}) was not examined: ${reason}`;
    await tolerate(mounting, { warnings, message });
  };
  for (const mount of fstabMounts(tree, devices, root)) await add(mount);
  const esp = findEsp(devices);
  if (esp === null || mounts.some(({ device }) => device === esp)) return mounts;
  const mountpoint = await espPlace(reader, mounts);
  if (mountpoint !== null) await add({ device: esp, mountpoint, options: '' });
  return mounts;
}

const NEEDED: ReadonlySet<string> = new Set(['/usr', '/boot']);

async function needed(mounting: () => Promise<void>, { device, mountpoint }: Mount): Promise<void> {
  try {
    await mounting();
  } catch (error) {
    throw new Hyper2kvmError('inspect.unmountable', `${device} (${mountpoint}): ${refusal(error)}`, {
      advice: `The guest does not start without ${mountpoint}: start it on the old hypervisor, check the filesystem (fsck), shut it down cleanly.`,
      cause: error,
    });
  }
}

/** Returns the system's other mounts from its fstab, in mount order. Pure. */
function fstabMounts(tree: GuestTree, devices: DeviceContext, root: RootCandidate): Mount[] {
  const mounts = new Map<string, Mount>();
  for (const { spec, mountpoint, options } of parseFstab(tree.text('/etc/fstab')?.text ?? '')) {
    if (!SYSTEM_MOUNTPOINTS.includes(mountpoint)) continue;
    const filesystem = resolveDevice(spec, devices);
    const copies = filesystem === null ? filesystemsNamed(spec, devices) : [];
    if (copies.length > 1 && NEEDED.has(mountpoint))
      throw duplicateUuid(
        `${spec} (${mountpoint})`,
        copies.map(({ device }) => device),
      );
    if (filesystem === null || !MOUNTABLE.has(filesystem.type)) continue;
    const subvolume = options.find((option) => /^subvol(id)?=/.test(option)) ?? '';
    if (filesystem.device === root.device && subvolume === '') continue;
    mounts.set(mountpoint, { device: filesystem.device, mountpoint, options: subvolume });
  }
  return [...mounts.values()].sort((a, b) => a.mountpoint.length - b.mountpoint.length);
}

function findEsp(devices: DeviceContext): string | null {
  const vfat = devices.filesystems.filter(
    (filesystem) => filesystem.type === 'vfat' && filesystem.disk !== null,
  );
  return vfat.find((filesystem) => ESP_TYPES.has(filesystem.parttype ?? ''))?.device ?? null;
}

/**
 * Returns the first usual place of an ESP that exists; /boot only if it is empty, because a mount over it
 * would hide the kernels.
 */
async function espPlace(reader: GuestReader, mounts: readonly Mount[]): Promise<string | null> {
  for (const place of ESP_MOUNTPOINTS) {
    if (mounts.some(({ mountpoint }) => mountpoint === place)) continue;
    // A link must not be mounted over.
    if ((await reader.lstat(place))?.type !== 'directory') continue;
    if (place !== '/boot' || (await reader.list(place)).length === 0) return place;
  }
  return null;
}
