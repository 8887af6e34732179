import { join } from 'node:path';
import { z } from 'zod';
import { canonicalJson } from '../../canonical-json.js';
import type { Guest } from '../../fixers/fixer.js';
import { EMPTY_PLAN, planGuest } from '../../fixers/plan.js';
import { readSnapshot } from '../../guest/snapshot.js';
import { syncPath, writeDurable } from '../../host/durable.js';
import type { Stage, StageContext } from '../../pipeline/stage.js';
import { fetchOutput } from '../fetch/schema.js';
import { inspectOutput } from '../inspect/schema.js';
import { readPackages } from './packages.js';
import { planDiff } from './plan-diff.js';
import { type PlanOutput, planOutput } from './schema.js';

const planInput = z.object({ fetch: fetchOutput, inspect: inspectOutput });
type PlanInput = z.infer<typeof planInput>;

const PLAN_FILE = 'plan.json';
const DIFF_FILE = 'plan.diff';

/** Decides what FIX is to do, from the snapshot alone: no appliance, no clock. The same input gives the same bytes of plan.json and plan.diff. */
export const planStage: Stage<PlanInput, PlanOutput> = {
  name: 'plan',
  version: 1,
  input: planInput,
  output: planOutput,
  dependsOn: (options) => ({ fix: options.config.fix }),
  enabled: (options) => options.kind === 'vm',
  async run(context, input) {
    const decided =
      context.options.config.fix.mode === 'none' ? EMPTY_PLAN : planGuest(await guestOf(context, input));
    const plan = { ...decided, warnings: [...input.inspect.warnings, ...decided.warnings] };
    await writeDurable(join(context.workDirectory, PLAN_FILE), `${canonicalJson(plan, 2)}\n`);
    await writeDurable(join(context.workDirectory, DIFF_FILE), planDiff(plan));
    await syncPath(context.workDirectory);
    for (const { fixer, code, message } of plan.warnings)
      context.log.warn({ fixer, code, detail: message }, 'plan warning');
    return { plan, plan_file: PLAN_FILE, diff_file: DIFF_FILE };
  },
  files: ({ plan_file, diff_file }) => [plan_file, diff_file],
};

async function guestOf(context: StageContext, { fetch, inspect }: PlanInput): Promise<Guest> {
  return {
    identity: inspect.identity,
    packages: await readPackages(context.options.config.fix.guest_agent_packages, inspect.identity),
    hardware: fetch.hardware,
    tree: await readSnapshot(join(context.workDirectory, inspect.snapshot)),
    options: context.options.config.fix,
    controllers: fetch.disks.map(({ controller }) => controller),
  };
}
