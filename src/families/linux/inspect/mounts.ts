import type { GuestReader } from '../../../access/guest-reader.js';
import { refusedBy, TOO_NEW_ADVICE, tolerate, type Warnings } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { type DeviceContext, filesystemsNamed, resolveDevice } from '../../../guest/device-names.js';
import { ESP_MOUNTPOINTS, ESP_TYPES } from '../../../guest/esp.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { Filesystem, Mount } from '../../../model/identity.js';
import type { RootCandidate } from '../../base/inspection.js';
import { duplicateUuid } from './choose-root.js';
import { mountTable } from './mount-table.js';

/** Mount points with configuration or kernels. Data filesystems are not mounted. */
const SYSTEM_MOUNTPOINTS: readonly string[] = ['/usr', '/var', ...ESP_MOUNTPOINTS];
const MOUNTABLE = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'vfat', 'f2fs', 'jfs', 'reiserfs']);

/**
 * Mounts, read-only and below the root that is mounted already, what the guest's fstab and units mount and an
 * ESP that they do not mention (it has systemd's GPT auto-discovery, or nothing at all). `tree` has /etc.
 * Returns the mounts in order. Throws `inspect.unmountable` for /usr and /boot; any other that cannot be
 * mounted gives a warning.
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
  const esps = devices.filesystems.filter(isEsp).map(({ device }) => device);
  const [esp] = esps;
  if (esp === undefined || mounts.some(({ device }) => esps.includes(device))) return mounts;
  const mountpoint = await espPlace(reader, mounts);
  if (mountpoint !== null) await add({ device: esp, mountpoint, options: '' });
  return mounts;
}

const NEEDED: ReadonlySet<string> = new Set(['/usr', '/boot']);

async function needed(mounting: () => Promise<void>, { device, mountpoint }: Mount): Promise<void> {
  try {
    await mounting();
  } catch (error) {
    const { code, message } = refusedBy(error);
    if (code === 'guest.filesystem-too-new')
      throw new Hyper2kvmError(code, `${device} (${mountpoint}): ${message}`, {
        advice: TOO_NEW_ADVICE,
        cause: error,
      });
    throw new Hyper2kvmError('inspect.unmountable', `${device} (${mountpoint}): ${message}`, {
      advice: `The guest does not start without ${mountpoint}: start it on the old hypervisor, check the filesystem (fsck), shut it down cleanly.`,
      cause: error,
    });
  }
}

/** Distributions make these directories for the ESP alone. */
const isItsOwn = (place: string) => place === '/boot/efi' || place === '/efi';

/** Returns the system's other mounts from its fstab and units, in mount order. Pure. */
function fstabMounts(tree: GuestTree, devices: DeviceContext, root: RootCandidate): Mount[] {
  const mounts = new Map<string, Mount>();
  for (const { spec, mountpoint, options } of mountTable(tree)) {
    if (!mountpoint.startsWith('/') || mountpoint === '/' || mounts.has(mountpoint)) continue;
    const filesystem = resolveDevice(spec, devices);
    // An ESP may be mounted anywhere; its partition type identifies it.
    const isWanted = filesystem !== null && isEsp(filesystem);
    if (!SYSTEM_MOUNTPOINTS.includes(mountpoint) && !isWanted) continue;
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

const isEsp = ({ type, disk, parttype }: Filesystem) =>
  type === 'vfat' && disk !== null && ESP_TYPES.has(parttype ?? '');

/** Usually empty directories, for an ESP that the guest has no mount point for. */
const EMPTY_PLACES = ['/mnt', '/media', '/run'] as const;

/**
 * Returns the first usual place of an ESP that exists, otherwise an empty directory; /boot only if it is empty,
 * because a mount over it would hide the kernels.
 */
async function espPlace(reader: GuestReader, mounts: readonly Mount[]): Promise<string | null> {
  for (const place of [...ESP_MOUNTPOINTS, ...EMPTY_PLACES]) {
    if (mounts.some(({ mountpoint }) => mountpoint === place)) continue;
    // A link must not be mounted over.
    if ((await reader.lstat(place))?.type !== 'directory') continue;
    if (isItsOwn(place) || (await reader.list(place)).length === 0) return place;
  }
  return null;
}
