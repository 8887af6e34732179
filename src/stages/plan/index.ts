import { join } from 'node:path';
import { z } from 'zod';
import type { Stage, StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { chooseDriversFor } from '../../families/windows/drivers/choose-for.js';
import { syncPath, writeDurable } from '../../files/durable.js';
import { GUEST_THREAD, runInThread } from '../../host/thread.js';
import { machineArchitecture } from '../../machine/architecture.js';
import type { Devices } from '../../model/plan.js';
import { fetchOutput } from '../fetch/output.js';
import { flattenOutput } from '../flatten/output.js';
import { inspectOutput } from '../inspect/output.js';
import { type PlanOutput, planOutput } from './output.js';
import { readPackages } from './packages.js';
import type { PlanAnswer, PlanRequest } from './thread.js';

const planInput = z.object({
  fetch: fetchOutput,
  flatten: z.object({ disks: z.array(flattenOutput.shape.disks.element.pick({ sector_size: true })) }),
  inspect: inspectOutput,
});
type PlanInput = z.infer<typeof planInput>;

const THREAD = new URL('./thread.js', import.meta.url);
const PLAN_FILE = 'plan.json';
const DIFF_FILE = 'plan.diff';

/**
 * Decides what FIX will do, from the snapshot alone: no appliance, no clock. The same input gives the same
 * bytes of plan.json and plan.diff.
 */
export const planStage: Stage<PlanInput, PlanOutput> = {
  name: 'plan',
  version: 1,
  input: planInput,
  output: planOutput,
  dependsOn: ({ config }) => ({ fix: config.fix, virtio_win: config.windows.virtio_win }),
  enabled: (options) => options.kind === 'vm',
  async run(context, input) {
    // Refuses an architecture that we have no machine for, before anything is written.
    machineArchitecture(input.inspect.identity.architecture);
    const request: PlanRequest = { ...(await requestOf(context, input)), warnings: input.inspect.warnings };
    const { plan, json, diff } = await runInThread<PlanAnswer>(THREAD, request, {
      ...GUEST_THREAD,
      signal: context.signal,
    });
    refuseSectors(plan.devices, input.flatten);
    await writeDurable(join(context.workDirectory, PLAN_FILE), json);
    await writeDurable(join(context.workDirectory, DIFF_FILE), diff);
    await syncPath(context.workDirectory);
    for (const { fixer, code, message } of plan.warnings)
      context.log.warn({ fixer, code, detail: message }, 'plan warning');
    return { plan, plan_file: PLAN_FILE, diff_file: DIFF_FILE };
  },
  files: ({ plan_file, diff_file }) => [plan_file, diff_file],
};

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

async function requestOf(context: StageContext, { fetch, inspect }: PlanInput) {
  const { fix, windows } = context.options.config;
  const { identity } = inspect;
  return {
    snapshot: join(context.workDirectory, inspect.snapshot),
    guest: {
      identity,
      packages: await readPackages(fix.guest_agent_packages, identity),
      drivers:
        identity.os_type === 'windows' && fix.mode !== 'none'
          ? await chooseDriversFor(identity, {
              virtioWin: windows.virtio_win,
              cache: process.env.CACHE_DIRECTORY ?? '/var/tmp',
              warnings: inspect.warnings,
              secureBoot: false,
              signal: context.signal,
            })
          : null,
      hardware: fetch.hardware,
      options: fix,
      controllers: fetch.disks.map(({ controller }) => controller),
    },
  };
}
