import type { JobOptions } from '../config/schema.js';
import type { Pass } from '../model/pass.js';
import { canonicalJson, sha256 } from '../text/canonical-json.js';
import { hooksOf } from './hooks.js';
import type { Stage } from './stage.js';

/**
 * Returns a stage's content id: SHA-256 of its name, its version, the options it depends on, whether it is
 * skipped, its hooks (they may change what it works on), what the pass that begins with it changes in the options,
 * and the id before it.
 */
export function stageId(
  stage: Stage,
  options: JobOptions,
  previous: string,
  changes: Pass['options'] = {},
): string {
  return sha256(
    canonicalJson([
      stage.name,
      stage.version,
      stage.dependsOn(options) ?? null,
      isEnabled(stage, options),
      ...hooksOf(options, stage.name),
      ...(Object.keys(changes).length === 0 ? [] : [{ changes }]),
      previous,
    ]),
  );
}

export function isEnabled(stage: Stage, options: JobOptions): boolean {
  return stage.enabled?.(options) ?? true;
}
