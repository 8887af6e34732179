import { openAppliance } from '../guest/appliance.js';
import { executePipeline } from './execute.js';
import { STAGES } from './registry.js';
import type { PipelineRequest, PipelineResult } from './run-types.js';

/** The pipeline of the product: all stages, the real appliance. Never throws for a stage's failure; see `executePipeline`. */
export function runPipeline(request: PipelineRequest): Promise<PipelineResult> {
  return executePipeline(request, { stages: STAGES, openAppliance });
}
