import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { JobOptions } from '../config/schema.js';
import type { Checkpoint } from '../model/stage-record.js';
import { hooksOf } from './hooks.js';
import { refusalOf } from './run-stage.js';
import type { Stage } from './stage.js';
import type { PipelineRequest } from './types.js';

/** Returns a stored checkpoint as the stage's result of this run; null if the stage must run. */
export async function reuse(
  stage: Stage,
  id: string,
  checkpoint: Checkpoint | undefined,
  { options, workDirectory }: Pick<PipelineRequest, 'options' | 'workDirectory'>,
): Promise<Checkpoint | null> {
  if (checkpoint === undefined || checkpoint.id !== id) return null;
  const wasSkipped = checkpoint.record.status === 'skipped';
  const parsed = wasSkipped ? null : stage.output.safeParse(checkpoint.output);
  if (parsed !== null && !parsed.success) return null;
  const files = filesOf(stage, parsed?.data ?? null);
  if (!files.every((file) => existsSync(join(workDirectory, file)))) return null;
  if (checkpoint.record.status === 'failed' && !isAcceptedNow(stage, parsed?.data, options)) return null;
  return {
    ...checkpoint,
    output: parsed?.data ?? null,
    record: wasSkipped ? checkpoint.record : { ...checkpoint.record, status: 'reused', error: null },
  };
}

/**
 * Whether a stage accepts an output that the job failed because of: it does if the options have changed
 * accordingly. Hooks after the stage have not run yet, so with hooks the stage runs again.
 */
function isAcceptedNow(stage: Stage, output: unknown, options: JobOptions): boolean {
  const hasHooks = hooksOf(options, stage.name).some(({ when }) => when === 'after');
  return !hasHooks && refusalOf(stage, output, options) === null;
}

/** Returns the files of a stage's output; none for a stage that was skipped or has not run. */
export function filesOf(stage: Stage, output: unknown): string[] {
  return output === null || output === undefined ? [] : (stage.files?.(output) ?? []);
}
