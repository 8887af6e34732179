import { z } from 'zod';
import { passedOverSchema } from '../../model/drop.js';
import { hardwareSchema } from '../../model/hardware.js';
import { warningSchema } from '../../model/plan.js';
import { remoteFactsSchema } from '../../model/remote.js';
import { chainSchema } from '../../model/storage.js';

/** What the source provided: the VM's disks in their order, each with everything that FLATTEN needs. */
export const fetchOutput = z.object({
  files: z.array(z.object({ path: z.string(), size: z.int() })),
  disks: z.array(
    z.object({
      index: z.int(),
      /** Bus and unit on the old hypervisor (`scsi0:0`); null if unknown. */
      controller: z.string().nullable(),
      chain: chainSchema,
    }),
  ),
  hardware: hardwareSchema,
  passed_over: z.array(passedOverSchema).default([]),
  warnings: z.array(warningSchema).default([]),
  /** Where the VM was fetched from; absent for a drop. */
  remote: remoteFactsSchema.optional(),
});
export type FetchOutput = z.infer<typeof fetchOutput>;
