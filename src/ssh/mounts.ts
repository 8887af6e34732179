import type { Subvolume } from '../access/guest-reader.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { Mount } from '../model/identity.js';
import type { HostDevice, HostFacts, HostMount } from './host-facts.js';

/**
 * Throws `guest.call-failed` unless exactly this filesystem, and of btrfs this subvolume, is mounted there.
 * Without options any subvolume counts: which one is found out by those with options.
 */
export function refuseUnmounted(facts: HostFacts, { device, mountpoint, options }: Mount): void {
  const mounted = mountAt(facts, mountpoint);
  const found = facts.devices.find((candidate) => candidate.device === device);
  if (mounted !== undefined && found !== undefined && isOn(found, mounted) && selects(options, mounted))
    return;
  throw new Hyper2kvmError(
    'guest.call-failed',
    `the running system does not have it mounted at ${mountpoint}`,
  );
}

/** Returns the subvolumes of btrfs filesystems that are mounted at `/`. */
export function mountedSubvolumes(facts: HostFacts): Subvolume[] {
  const mounted = mountAt(facts, '/');
  const path = option(mounted, 'subvol')?.replace(/^\//, '');
  const id = Number(option(mounted, 'subvolid'));
  return path === undefined || path === '' ? [] : [{ id, path }];
}

/** The last mount hides those below it. */
const mountAt = ({ mounts }: HostFacts, mountpoint: string): HostMount | undefined =>
  mounts.findLast((mount) => mount.mountpoint === mountpoint);

/** btrfs has a device number of its own, so it is known by its source. */
const isOn = ({ device, number, links }: HostDevice, mount: HostMount): boolean =>
  mount.number === number || mount.source === device || links.includes(mount.source);

const option = (mount: HostMount | undefined, name: string): string | undefined =>
  mount?.options.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1);

function selects(options: string, mount: HostMount): boolean {
  const subvolume = option(mount, 'subvol');
  if (subvolume === undefined) return mount.root === '/';
  if (options === '') return true;
  const [name, value = ''] = options.split('=');
  return name === 'subvolid'
    ? value === option(mount, 'subvolid')
    : value.replace(/^\//, '') === subvolume.replace(/^\//, '');
}
