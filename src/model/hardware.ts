import { z } from 'zod';

/** One network interface of the source VM, as OVF or VMX says. */
const nicSchema = z.object({
  mac: z.string().nullable(),
  network: z.string().nullable(),
  model: z.string().nullable(),
  /**
   * VMware's number of the slot, by which systemd names the card (`ens192`); absent where it is not known.
   */
  pci_slot: z.int().optional(),
  /** The slot that VMware would assign at the first start, if the description has none. */
  likely_slot: z.int().optional(),
});
export type Nic = z.infer<typeof nicSchema>;

/** What the VM's own description (VMX, OVF, job.toml) says of its hardware; null where unknown. */
export const hardwareSchema = z.object({
  name: z.string().nullable(),
  memory_mib: z.int().nullable(),
  vcpus: z.int().nullable(),
  firmware: z.enum(['bios', 'uefi']).nullable(),
  nics: z.array(nicSchema),
  os_hint: z.string().nullable(),
});
export type Hardware = z.infer<typeof hardwareSchema>;
