import { z } from 'zod';

/**
 * `image` is the fixed disk, `evidence` a small overlay on it that only VALIDATE uses, on top of the
 * converted disk; the delivered disk never contains it. Both are qcow2 file names in the work directory.
 * `evidence` is null if the guest was not changed for the boot test.
 */
export const fixOutput = z.object({
  disks: z.array(
    z.object({
      index: z.int(),
      image: z.string(),
      format: z.enum(['qcow2']),
      evidence: z.string().nullable(),
    }),
  ),
  /** What was read back from the guest and found correct, one line each. */
  proofs: z.array(z.string()),
  applied: z.int(),
  /** What the `evidence` overlay adds, for boot.json; empty without one. */
  evidence_changes: z.array(z.string()),
  /** True if the `evidence` overlay has a unit that reports on the serial console what came up. */
  evidence_unit: z.boolean().default(false),
  /** The network that the guest, as it is now, is configured for. */
  network: z
    .object({ addresses: z.array(z.string()), dhcp: z.boolean() })
    .default({ addresses: [], dhcp: false }),
});
export type FixOutput = z.infer<typeof fixOutput>;
