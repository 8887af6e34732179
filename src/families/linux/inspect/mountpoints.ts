import { type DeviceContext, resolveDevice } from '../../../guest/device-names.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { Filesystem } from '../../../model/identity.js';
import { shortLines } from '../../base/edit.js';
import type { RootCandidate } from '../../base/inspection.js';

/** Each is looked for among all filesystems. */
const MAX_FSTAB_LINES = 5_000;

/** The filesystems of `devices` with the places where the guest's fstab mounts them. Pure. */
export function withMountpoints(
  tree: GuestTree,
  devices: DeviceContext,
  { device: root }: RootCandidate,
): Filesystem[] {
  const at = new Map<string, string>([[root, '/']]);
  for (const line of shortLines(tree.text('/etc/fstab')?.text ?? '').slice(0, MAX_FSTAB_LINES)) {
    const [spec, mountpoint] = line.trim().split(/\s+/);
    if (spec === undefined || mountpoint === undefined || spec.startsWith('#')) continue;
    const filesystem = resolveDevice(spec, devices);
    if (filesystem !== null && !at.has(filesystem.device)) at.set(filesystem.device, mountpoint);
  }
  return devices.filesystems.map((filesystem) => ({
    ...filesystem,
    mountpoint: at.get(filesystem.device) ?? null,
  }));
}
