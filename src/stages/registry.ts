import type { Stage } from '../engine/stage.js';
import { STAGE_NAMES, type StageName } from '../model/stage-names.js';
import { convertStage } from './convert/index.js';
import { fetchStage } from './fetch/index.js';
import { fixStage } from './fix/index.js';
import { flattenStage } from './flatten/index.js';
import { inspectStage } from './inspect/index.js';
import { planStage } from './plan/index.js';
import { validateStage } from './validate/index.js';

/** Each stage under its name. The compiler refuses a name without a stage, and a stage without a name. */
const BY_NAME: Readonly<Record<StageName, Stage>> = {
  fetch: erased(fetchStage),
  flatten: erased(flattenStage),
  inspect: erased(inspectStage),
  plan: erased(planStage),
  fix: erased(fixStage),
  convert: erased(convertStage),
  validate: erased(validateStage),
};

/** The stages in the order of STAGE_NAMES. */
export const STAGES: readonly Stage[] = STAGE_NAMES.map((name) => BY_NAME[name]);

/** Drops the types: the engine checks inputs and outputs against the stage's own schemas. */
export function erased<Input, Output>(stage: Stage<Input, Output>): Stage {
  return stage as unknown as Stage;
}
