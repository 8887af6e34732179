import type { BootSummary, JobResult } from '../model/job.js';
import { planOutput } from '../stages/plan/output.js';
import { validateOutput } from '../stages/validate/output.js';

/** What `list` and `show` tell of a plan and a boot, out of the stages' outputs. */
export function jobResult(outputs: Readonly<Record<string, unknown>>): JobResult {
  const plan = planOutput.safeParse(outputs.plan);
  const validate = validateOutput.safeParse(outputs.validate);
  return {
    plan: plan.success ? countByFixer(plan.data.plan.operations) : null,
    boot: validate.success && validate.data.boot !== null ? bootSummary(validate.data.boot) : null,
  };
}

function countByFixer(operations: readonly { fixer: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { fixer } of operations) counts[fixer] = (counts[fixer] ?? 0) + 1;
  return counts;
}

function bootSummary({ verdict, level, seconds, accelerator, warnings }: BootSummary): BootSummary {
  return { verdict, level, seconds, accelerator, warnings };
}
