import { convertStage } from '../stages/convert/index.js';
import { fetchStage } from '../stages/fetch/index.js';
import { fixStage } from '../stages/fix/index.js';
import { flattenStage } from '../stages/flatten/index.js';
import { inspectStage } from '../stages/inspect/index.js';
import { planStage } from '../stages/plan/index.js';
import { validateStage } from '../stages/validate/index.js';
import type { Stage } from './stage.js';

/** The stages in their order. A new one is one folder in stages/ and one line here. */
export const STAGES: readonly Stage[] = [
  erased(fetchStage),
  erased(flattenStage),
  erased(inspectStage),
  erased(planStage),
  erased(fixStage),
  erased(convertStage),
  erased(validateStage),
];

/** The runner checks inputs and outputs by the stage's own schemas: it needs no types of them. */
function erased<Input, Output>(stage: Stage<Input, Output>): Stage {
  return stage as unknown as Stage;
}
