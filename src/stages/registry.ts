import type { Stage } from '../engine/stage.js';
import { convertStage } from './convert/index.js';
import { fetchStage } from './fetch/index.js';
import { fixStage } from './fix/index.js';
import { flattenStage } from './flatten/index.js';
import { inspectStage } from './inspect/index.js';
import { planStage } from './plan/index.js';
import { validateStage } from './validate/index.js';

/** The stages in order. A new one is one folder in stages/ and one line here. */
export const STAGES: readonly Stage[] = [
  erased(fetchStage),
  erased(flattenStage),
  erased(inspectStage),
  erased(planStage),
  erased(fixStage),
  erased(convertStage),
  erased(validateStage),
];

/** Drops the types: the runner checks inputs and outputs against the stage's own schemas. */
function erased<Input, Output>(stage: Stage<Input, Output>): Stage {
  return stage as unknown as Stage;
}
