import { type DeviceContext, resolveDevice } from '../../../guest/device-names.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { Filesystem } from '../../../model/identity.js';
import type { RootCandidate } from '../../base/inspection.js';
import { mountTable } from './mount-table.js';

/** Returns the filesystems of `devices` with the mount points from the guest's fstab and units. Pure. */
export function withMountpoints(
  tree: GuestTree,
  devices: DeviceContext,
  { device: root }: RootCandidate,
): Filesystem[] {
  const at = new Map<string, string>([[root, '/']]);
  for (const { spec, mountpoint } of mountTable(tree)) {
    if (mountpoint === '') continue;
    const filesystem = resolveDevice(spec, devices);
    if (filesystem !== null && !at.has(filesystem.device)) at.set(filesystem.device, mountpoint);
  }
  return devices.filesystems.map((filesystem) => ({
    ...filesystem,
    mountpoint: at.get(filesystem.device) ?? null,
  }));
}
