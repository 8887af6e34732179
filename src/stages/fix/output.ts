import { z } from 'zod';

/**
 * `image` is the fixed disk, `evidence` a small overlay on it for VALIDATE only: the delivered disk never has
 * it. VALIDATE rebases a copy of it onto the converted disk. Both are qcow2 file names in the work directory.
 * `evidence` is null when the guest was not changed for the boot test.
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
  /** What was read back from the guest and found right, one line each. */
  proofs: z.array(z.string()),
  applied: z.int(),
  /** What the evidence layer adds, for boot.json; empty when there is none. */
  evidence_changes: z.array(z.string()),
  /** The evidence layer has a unit that reports on the serial console what came up. */
  evidence_unit: z.boolean().default(false),
  /** What the network of the guest, as it is now, is configured to come up with. */
  network: z
    .object({ addresses: z.array(z.string()), dhcp: z.boolean() })
    .default({ addresses: [], dhcp: false }),
});
export type FixOutput = z.infer<typeof fixOutput>;
