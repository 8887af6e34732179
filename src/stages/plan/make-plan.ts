import { join } from 'node:path';
import { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import type { PassContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { NO_HOST_FILES } from '../../families/base/host-files.js';
import { familyOf } from '../../families/registry.js';
import { GUEST_THREAD, runInThread } from '../../host/thread.js';
import { machineArchitecture } from '../../machine/architecture.js';
import type { Devices } from '../../model/plan.js';
import { fetchOutput } from '../fetch/output.js';
import { flattenOutput } from '../flatten/output.js';
import { inspectOutput } from '../inspect/output.js';
import type { PlanAnswer, PlanRequest } from './plan-requested.js';

export const planInput = z.object({
  fetch: z.object({
    hardware: fetchOutput.shape.hardware,
    disks: z.array(fetchOutput.shape.disks.element.pick({ controller: true })),
  }),
  flatten: z.object({ disks: z.array(flattenOutput.shape.disks.element.pick({ sector_size: true })) }),
  inspect: inspectOutput,
});
export type PlanInput = z.infer<typeof planInput>;

const THREAD = new URL('./thread.js', import.meta.url);

/** Plans in a thread, or in this one (`planRequested`) where the guest can be trusted. */
export type Planner = (request: PlanRequest, signal: AbortSignal) => Promise<PlanAnswer>;

export const planInThread: Planner = (request, signal) =>
  runInThread<PlanAnswer>(THREAD, request, { ...GUEST_THREAD, signal });

/**
 * Makes the plan that these options lead to, with the texts of plan.json and plan.diff. `isRunning`: the guest
 * still runs on its old hypervisor, and only what is safe there is planned. Writes nothing. Throws `plan.*`.
 */
export async function makePlan(
  context: Pick<PassContext, 'job' | 'workDirectory' | 'signal'>,
  input: PlanInput,
  { config }: JobOptions,
  { isRunning = false, planner = planInThread }: { isRunning?: boolean; planner?: Planner } = {},
): Promise<PlanAnswer> {
  const { identity, snapshot, warnings } = input.inspect;
  // Refuses an architecture that we have no machine for, before anything is written.
  machineArchitecture(identity.architecture);
  const { hardware, disks } = input.fetch;
  const { signal } = context;
  const secureBoot = hardware.secure_boot === true;
  const hostFiles =
    config.fix.mode === 'none'
      ? NO_HOST_FILES
      : await familyOf(identity).hostFiles(identity, { config, warnings, secureBoot, signal });
  const request: PlanRequest = {
    snapshot: join(context.workDirectory, snapshot),
    guest: {
      ...{ vm: context.job.vm, identity, hardware, options: config.fix, ...hostFiles },
      controllers: disks.map(({ controller }) => controller),
    },
    isRunning,
    warnings,
  };
  const answer = await planner(request, signal);
  refuseSectors(answer.plan.devices, input.flatten);
  return answer;
}

/** QEMU's SATA and IDE disks have sectors of 512 bytes only. */
function refuseSectors({ disk_bus }: Devices, { disks }: PlanInput['flatten']): void {
  const isLarge = disks.some(({ sector_size }) => sector_size === 4096);
  if (!isLarge || disk_bus === 'virtio' || disk_bus === 'scsi') return;
  throw new Hyper2kvmError(
    'plan.sector-size',
    `a disk has sectors of 4096 bytes, and the guest can be started from ${disk_bus} disks only, which have none`,
    {
      advice:
        'Give the guest virtio drivers on the old hypervisor (a newer kernel, or its initramfs with virtio_blk), or copy its system to a disk with sectors of 512 bytes.',
    },
  );
}
