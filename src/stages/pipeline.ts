import { openAppliance } from '../appliance/open-appliance.js';
import type { Config } from '../config/schema.js';
import { loadExtraStages, withExtraStages } from '../engine/extra-stages.js';
import { executePipeline } from '../engine/run-stages.js';
import type { Stage } from '../engine/stage.js';
import type { PipelineRequest, PipelineResult } from '../engine/types.js';
import type { Source } from '../sources/base/source.js';
import { prepareStage } from './convert/prepare.js';
import { erased, STAGES } from './registry.js';

/**
 * Runs the pipeline of the product: all stages, with those of `[[pipeline.extra]]` between them, and the real
 * appliance. Of a warm job's base it runs those up to PLAN, and converts it ahead of the cutover. Rejects like
 * `pipelineStages` and `executePipeline`.
 */
export async function runPipeline(
  request: PipelineRequest,
  sources?: readonly Source[],
): Promise<PipelineResult> {
  const stages = await pipelineStages(request.options.config);
  if (request.isBase === true) {
    const at = stages.findIndex(({ name }) => name === 'fix');
    stages.splice(at, 0, erased(prepareStage));
  }
  const until = request.isBase === true ? { until: prepareStage.name } : {};
  const parts = { stages, openGuest: openAppliance, ...(sources === undefined ? {} : { sources }) };
  return executePipeline({ ...request, ...until }, parts);
}

/**
 * Returns all stages in order, including those of `[[pipeline.extra]]`. Rejects with `config.extra-stage`.
 */
export async function pipelineStages(config: Config): Promise<Stage[]> {
  return withExtraStages(STAGES, await loadExtraStages(config.pipeline.extra));
}
