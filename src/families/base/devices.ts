import type { Devices } from '../../model/plan.js';

/** The network card that comes with a bus of disks, as machines of that age had it. */
export const DEVICES = {
  virtio: { disk_bus: 'virtio', nic_model: 'virtio' },
  sata: { disk_bus: 'sata', nic_model: 'e1000e' },
  ide: { disk_bus: 'ide', nic_model: 'e1000' },
} as const satisfies Record<string, Devices>;

/** An IDE controller of a `pc` machine has two channels with two disks each. */
export const IDE_DISKS = 4;
