import { z } from 'zod';

/** A network interface of the source VM, from its OVF or VMX. */
const nicSchema = z.object({
  mac: z.string().nullable(),
  network: z.string().nullable(),
  model: z.string().nullable(),
  /** VMware's slot number, from which systemd names the card (`ens192`); absent if unknown. */
  pci_slot: z.int().optional(),
  /** The slot that VMware would assign at the first start, if the description has none. */
  likely_slot: z.int().optional(),
});
export type Nic = z.infer<typeof nicSchema>;

/** The VM's hardware according to its own description (VMX, OVF, job.toml); null where unknown. */
export const hardwareSchema = z.object({
  name: z.string().nullable(),
  memory_mib: z.int().nullable(),
  vcpus: z.int().nullable(),
  firmware: z.enum(['bios', 'uefi']).nullable(),
  nics: z.array(nicSchema),
  os_hint: z.string().nullable(),
  /** Secure Boot was on; absent if it was off, or unknown. */
  secure_boot: z.literal(true).optional(),
  /** It had a TPM; absent if not, or unknown. */
  tpm: z.literal(true).optional(),
  /** SMBIOS's UUID as Windows shows it, in lower case; absent if unknown. */
  uuid: z.string().optional(),
});
export type Hardware = z.infer<typeof hardwareSchema>;
