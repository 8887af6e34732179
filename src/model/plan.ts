import { z } from 'zod';

/** Something that PLAN or INSPECT found and does not change. `fixer` names what found it. */
export const warningSchema = z.object({ fixer: z.string(), code: z.string(), message: z.string() });
export type Warning = z.infer<typeof warningSchema>;

/**
 * The devices that the domain must offer so that the guest boots: virtio, or SATA and e1000 for a kernel
 * without virtio.
 */
export const devicesSchema = z.object({
  disk_bus: z.enum(['virtio', 'scsi', 'sata', 'ide']),
  nic_model: z.enum(['virtio', 'e1000', 'e1000e', 'rtl8139', 'vmxnet3']),
  /** Virtio devices that a driver from before virtio 1.0 finds too; absent: devices of virtio 1.0 alone. */
  virtio: z.literal('transitional').optional(),
});
export type Devices = z.infer<typeof devicesSchema>;

/**
 * An interface that the guest configures, with the MAC that its name is bound to; null where nothing tells
 * it. The domain must give its NICs these MACs, in this order, where the VM's own description has none.
 */
export const plannedNicSchema = z.object({ name: z.string(), mac: z.string().nullable() });
export type PlannedNic = z.infer<typeof plannedNicSchema>;
