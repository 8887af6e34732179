import { z } from 'zod';
import { hardwareSchema } from '../../model/hardware.js';

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
