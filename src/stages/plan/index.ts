import { join } from 'node:path';
import { z } from 'zod';
import type { Stage, StageContext } from '../../engine/stage.js';
import { syncPath, writeDurable } from '../../files/durable.js';
import { GUEST_THREAD, runInThread } from '../../host/thread.js';
import { machineArchitecture } from '../../machine/architecture.js';
import { fetchOutput } from '../fetch/output.js';
import { inspectOutput } from '../inspect/output.js';
import { type PlanOutput, planOutput } from './output.js';
import { readPackages } from './packages.js';
import type { PlanAnswer, PlanRequest } from './thread.js';

const planInput = z.object({ fetch: fetchOutput, inspect: inspectOutput });
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
  dependsOn: (options) => ({ fix: options.config.fix }),
  enabled: (options) => options.kind === 'vm',
  async run(context, input) {
    // Refuses an architecture that we have no machine for, before anything is written.
    machineArchitecture(input.inspect.identity.architecture);
    const request: PlanRequest = { ...(await requestOf(context, input)), warnings: input.inspect.warnings };
    const { plan, json, diff } = await runInThread<PlanAnswer>(THREAD, request, {
      ...GUEST_THREAD,
      signal: context.signal,
    });
    await writeDurable(join(context.workDirectory, PLAN_FILE), json);
    await writeDurable(join(context.workDirectory, DIFF_FILE), diff);
    await syncPath(context.workDirectory);
    for (const { fixer, code, message } of plan.warnings)
      context.log.warn({ fixer, code, detail: message }, 'plan warning');
    return { plan, plan_file: PLAN_FILE, diff_file: DIFF_FILE };
  },
  files: ({ plan_file, diff_file }) => [plan_file, diff_file],
};

async function requestOf(context: StageContext, { fetch, inspect }: PlanInput) {
  const { fix } = context.options.config;
  return {
    snapshot: join(context.workDirectory, inspect.snapshot),
    guest: {
      identity: inspect.identity,
      packages: await readPackages(fix.guest_agent_packages, inspect.identity),
      hardware: fetch.hardware,
      options: fix,
      controllers: fetch.disks.map(({ controller }) => controller),
    },
  };
}
