import type { Devices } from '../../model/plan.js';
import { COMMON_DEVICES, type OtherSystem } from '../base/as-is.js';
import type { FreeBsdFacts } from './files.js';

const IDE: Devices = { disk_bus: 'ide', nic_model: 'e1000' };
/** FreeBSD's names of disks on it are those on VMware's SCSI controllers, `da0`. */
const VIRTIO_SCSI: Devices = { disk_bus: 'scsi', nic_model: 'virtio' };
/** The first with virtio in its GENERIC kernel. */
const FIRST_FREEBSD_WITH_VIRTIO = 10;

/**
 * Returns the devices that such a system drives without help, and finds its root on. virtio only where the
 * system's own files say that it is needed and there. Pure.
 */
export function devicesFor({ os_type }: Pick<OtherSystem, 'os_type'>, facts: FreeBsdFacts | null): Devices {
  if (os_type === 'dos') return IDE;
  const major = Number(/^\d+/.exec(facts?.version ?? '')?.[0] ?? 0);
  const namesScsi = /^\/dev\/da\d/m.test(facts?.fstab ?? '');
  return namesScsi && major >= FIRST_FREEBSD_WITH_VIRTIO ? VIRTIO_SCSI : COMMON_DEVICES;
}
