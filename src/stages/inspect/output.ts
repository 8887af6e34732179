import { z } from 'zod';
import { guestIdentitySchema } from '../../families/registry.js';
import { unlockedSchema } from '../../model/identity.js';
import { warningSchema } from '../../model/plan.js';

/**
 * `snapshot` is a file name in the work directory (guest/snapshot-file.ts); its digest makes PLAN's input a
 * value.
 */
export const inspectOutput = z.object({
  identity: guestIdentitySchema,
  snapshot: z.string(),
  snapshot_sha256: z.string(),
  /**
   * File name in the work directory: what each initramfs lists (guest/initramfs-listing.ts), by guest path.
   * FIX appends by it.
   */
  initramfs_listings: z.string(),
  unlocked: z.array(unlockedSchema).default([]),
  /** Parts of the guest that are broken and not needed; PLAN shows them with its own. */
  warnings: z.array(warningSchema).default([]),
});
export type InspectOutput = z.infer<typeof inspectOutput>;
