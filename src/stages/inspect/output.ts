import { z } from 'zod';
import { guestIdentitySchema } from '../../families/registry.js';
import { unlockedSchema } from '../../model/identity.js';
import { warningSchema } from '../../model/plan.js';

/**
 * `snapshot` is a file name in the work directory (guest/snapshot-file.ts); its digest is part of PLAN's
 * input.
 */
export const inspectOutput = z.object({
  identity: guestIdentitySchema,
  snapshot: z.string(),
  snapshot_sha256: z.string(),
  /**
   * File name in the work directory: the listing of each initramfs (guest/initramfs-listing.ts), by guest
   * path, which FIX uses to append to it.
   */
  initramfs_listings: z.string(),
  unlocked: z.array(unlockedSchema).default([]),
  /** Broken parts of the guest that are not needed; PLAN shows these warnings with its own. */
  warnings: z.array(warningSchema).default([]),
});
export type InspectOutput = z.infer<typeof inspectOutput>;
