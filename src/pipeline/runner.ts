import type { Config } from '../config/schema.js';
import { openAppliance } from '../guest/appliance.js';
import { executePipeline } from './execute.js';
import { loadExtraStages, withExtraStages } from './extra.js';
import { STAGES } from './registry.js';
import type { PipelineRequest, PipelineResult } from './run-types.js';
import type { Stage } from './stage.js';

/** The pipeline of the product: all stages, those of `[[pipeline.extra]]` between them, the real appliance. Rejects as `pipelineStages` and `executePipeline` do. */
export async function runPipeline(request: PipelineRequest): Promise<PipelineResult> {
  const stages = await pipelineStages(request.options.config);
  return executePipeline(request, { stages, openAppliance });
}

/** All stages in order, those of `[[pipeline.extra]]` in their places. Rejects with `config.extra-stage`. */
export async function pipelineStages(config: Config): Promise<Stage[]> {
  return withExtraStages(STAGES, await loadExtraStages(config.pipeline.extra));
}
