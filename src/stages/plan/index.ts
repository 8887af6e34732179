import { join } from 'node:path';
import type { Stage } from '../../engine/stage.js';
import { syncPath, writeDurable } from '../../files/durable.js';
import { makePlan, type PlanInput, planInput } from './make-plan.js';
import { type PlanOutput, planOutput } from './output.js';

const PLAN_FILE = 'plan.json';
const DIFF_FILE = 'plan.diff';

/**
 * Decides what FIX will do, from the snapshot alone: no appliance, no clock. The same input gives the same
 * bytes of plan.json and plan.diff.
 */
export const planStage: Stage<PlanInput, PlanOutput> = {
  name: 'plan',
  version: 2,
  input: planInput,
  output: planOutput,
  dependsOn: ({ config: { fix, windows } }) => ({
    fix,
    virtio_win: windows.virtio_win,
    first_boot_steps: windows.first_boot_steps,
  }),
  enabled: (options) => options.kind === 'vm',
  async run(context, input) {
    const { plan, json, diff } = await makePlan(context, input, context.options);
    await writeDurable(join(context.workDirectory, PLAN_FILE), json);
    await writeDurable(join(context.workDirectory, DIFF_FILE), diff);
    await syncPath(context.workDirectory);
    for (const { fixer, code, message } of plan.warnings)
      context.log.warn({ fixer, code, detail: message }, 'plan warning');
    return { plan, plan_file: PLAN_FILE, diff_file: DIFF_FILE };
  },
  files: ({ plan_file, diff_file }) => [plan_file, diff_file],
};
