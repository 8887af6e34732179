import { z } from 'zod';
import { operationSchema } from './operation.js';

/** What PLAN or INSPECT found and does not change. `fixer` names who found it. */
export const warningSchema = z.object({ fixer: z.string(), code: z.string(), message: z.string() });
export type Warning = z.infer<typeof warningSchema>;

/** `plan.json`. */
export const planSchema = z.object({
  version: z.literal(1),
  operations: z.array(operationSchema),
  warnings: z.array(warningSchema),
  /** What the domain must offer so that the guest boots: virtio, or SATA and e1000 for a kernel without virtio. */
  devices: z.object({
    disk_bus: z.enum(['virtio', 'scsi', 'sata', 'ide']),
    nic_model: z.enum(['virtio', 'e1000', 'e1000e', 'rtl8139']),
    /** Virtio devices that a driver from before virtio 1.0 finds too; absent: devices of virtio 1.0 alone. */
    virtio: z.literal('transitional').optional(),
  }),
  /**
   * The interfaces that the guest configures, in their order, with the MAC that its names are bound to; null where nothing tells it. The domain
   * must give its NICs these MACs where the VM's own description has none.
   */
  nics: z.array(z.object({ name: z.string(), mac: z.string().nullable() })).default([]),
});
export type Plan = z.infer<typeof planSchema>;
