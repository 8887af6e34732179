import { z } from 'zod';

/** One network interface of the source VM, as OVF or VMX says. */
export const nicSchema = z.object({
  mac: z.string().nullable(),
  network: z.string().nullable(),
  model: z.string().nullable(),
  /** VMware's number of the slot, by which systemd names the card (`ens192`); absent where it is not known. */
  pci_slot: z.int().optional(),
});

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

/**
 * What was dropped: the VM's disks in their order. `leaf` is a path relative to the source directory: the descriptor or image that is the
 * disk's newest state. `controller` is the bus and unit on the old hypervisor (`scsi0:0`), null where nothing says.
 */
export const fetchOutput = z.object({
  files: z.array(z.object({ path: z.string(), size: z.int() })),
  disks: z.array(
    z.object({ index: z.int(), leaf: z.string(), format: z.string(), controller: z.string().nullable() }),
  ),
  hardware: hardwareSchema,
  /** Names in the work directory: copies of what came compressed. */
  unpacked: z.array(z.string()).default([]),
});
export type FetchOutput = z.infer<typeof fetchOutput>;
