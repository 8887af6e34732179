import { join } from 'node:path';
import type { JobOptions } from '../config/schema.js';
import { withSettings } from '../config/with-settings.js';
import { attemptDirectory, readPasses } from '../engine/passes.js';
import type { ErrorRecord } from '../errors/error.js';
import type { Boot } from '../model/boot.js';
import type { Pass } from '../model/pass.js';
import { validateOutput } from '../stages/validate/output.js';
import { readScreens, readSerialTail } from './boot-evidence.js';
import type { Screenshot } from './html-boot.js';
import type { StageOutputs } from './report.js';

/** One plan of a job that was tried more than once, and how it ended. */
export interface Attempt extends Pass {
  /** Null if it did not come to a boot. */
  boot: Boot | null;
  /** What failed before the boot. */
  error: ErrorRecord | null;
  /** The directory of its evidence, beside the report; null if there is none. */
  directory: string | null;
}

/** The attempts before the last one, and what the last one was for. */
export interface Attempts {
  earlier: Attempt[];
  last: Pass;
}

/** What the report shows of an earlier attempt beside its facts. */
export interface AttemptEvidence {
  screens: Screenshot[];
  serialTail: string;
}

/** The directories of attempts before the last: there are at most the first plan, two others and the best again. */
export const EARLIER_ATTEMPTS = [1, 2, 3].map((number) => attemptDirectory(number));
/** Where an attempt's boot is in its directory. */
const BOOT = 'boot';

/** Returns the attempts of a job; null if its first plan was the only one. */
export async function readAttempts(
  workDirectory: string,
  { plan }: Pick<StageOutputs, 'plan'>,
): Promise<Attempts | null> {
  // What is there without a plan is of an earlier run.
  const passes = plan === null ? null : await readPasses(workDirectory);
  if (passes === null) return null;
  const earlier = passes.ended.map(({ reason, options, output, error, directory }) => {
    // An older version's may have another form.
    const boot = validateOutput.safeParse(output).data?.boot ?? null;
    return { reason, options, boot, error, directory };
  });
  return { earlier, last: passes.current };
}

/** Returns the options that the last attempt was made with. */
export function lastOptions(options: JobOptions, attempts: Attempts | null): JobOptions {
  return attempts === null ? options : withSettings(options, attempts.last.options);
}

/** Returns the pictures and the log of each earlier attempt. */
export async function readEvidence(
  workDirectory: string,
  attempts: Attempts | null,
): Promise<AttemptEvidence[]> {
  return Promise.all(
    (attempts?.earlier ?? []).map(async ({ boot, directory }) => {
      if (directory === null || boot === null) return { screens: [], serialTail: '' };
      const place = join(workDirectory, directory, BOOT);
      const serialTail = await readSerialTail(join(place, 'serial.log'));
      return { screens: await readScreens(place, boot), serialTail };
    }),
  );
}
