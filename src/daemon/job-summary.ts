import type { PipelineResult } from '../engine/types.js';
import type { BootSummary, JobResult } from '../model/job.js';
import { planOutput } from '../stages/plan/output.js';
import { validateOutput } from '../stages/validate/output.js';

/** Returns what the queue keeps of a run. */
export function jobResult({ outputs, sourceId }: Pick<PipelineResult, 'outputs' | 'sourceId'>): JobResult {
  const plan = planOutput.safeParse(outputs.plan);
  const validate = validateOutput.safeParse(outputs.validate);
  return {
    plan: plan.success ? countByFixer(plan.data.plan.operations) : null,
    boot: validate.success && validate.data.boot !== null ? bootSummary(validate.data.boot) : null,
    sourceId,
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
