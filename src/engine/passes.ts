import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobOptions } from '../config/schema.js';
import { withSettings } from '../config/with-settings.js';
import type { ErrorRecord } from '../errors/error.js';
import { syncPath, syncTree, writeDurable } from '../files/durable.js';
import { exists } from '../files/exists.js';
import { type EndedPass, type Pass, type Passes, passesSchema } from '../model/pass.js';
import { refusalOf } from './run-stage.js';
import type { PassContext, Stage } from './stage.js';

/** In the work directory, beside the files of the checkpoints that it belongs to. */
const FILE = 'passes.json';
const FIRST: Pass = { reason: null, options: {} };

/** Returns the name of the directory that a pass leaves, in the work directory and in the result. */
export const attemptDirectory = (number: number): string => `attempt-${number}`;

const ATTEMPT = /^attempt-\d+(\.part)?$/;

/** Returns a job's passes; null if there was only one, or if another version wrote them in another form. */
export async function readPasses(workDirectory: string): Promise<Passes | null> {
  const file = join(workDirectory, FILE);
  if (!(await exists(file))) return null;
  return passesSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data ?? null;
}

/**
 * The passes of one run: which one it is in, and the step to the next. They survive the process: a run that is resumed
 * continues in the pass that was begun.
 */
export class PassRun {
  readonly #stage: Stage;
  readonly #context: PassContext;
  readonly #passes: Passes;

  private constructor(stage: Stage, context: PassContext, passes: Passes) {
    this.#stage = stage;
    this.#context = context;
    this.#passes = passes;
  }

  /** `base` is what the passes were decided by: the content id of the stage that asks, with the job's own options. */
  static async open(stage: Stage, base: string, context: PassContext): Promise<PassRun> {
    const { workDirectory, options } = context;
    const stored = await readPasses(workDirectory);
    const isEnabled = stage.again?.enabled(options) === true;
    if (isEnabled && stored?.base === base) return new PassRun(stage, context, stored);
    // Those come first, so that a kill between leaves none that nobody knows of.
    for (const name of await readdir(workDirectory))
      if (ATTEMPT.test(name)) await rm(join(workDirectory, name), { recursive: true, force: true });
    await rm(join(workDirectory, FILE), { force: true });
    return new PassRun(stage, context, { base, ended: [], current: FIRST });
  }

  get number(): number {
    return this.#passes.ended.length + 1;
  }

  get current(): Pass {
    return this.#passes.current;
  }

  /** The job's options with what the current pass changes. */
  get options(): JobOptions {
    return withSettings(this.#context.options, this.current.options);
  }

  /** Returns the pass that follows if `stage` ended with this output; null for other stages than the one that asks. */
  async after(
    stage: Stage,
    output: unknown,
    outputs: Readonly<Record<string, unknown>>,
  ): Promise<Pass | null> {
    return stage === this.#stage ? this.#next(this.#ended(output, null), outputs) : null;
  }

  /** Returns the pass that follows the failure of a stage. A first pass that fails is a failure of the job. */
  async afterFailure(error: ErrorRecord, outputs: Readonly<Record<string, unknown>>): Promise<Pass | null> {
    if (this.number === 1 || isOfHost(error)) return null;
    return this.#next(this.#ended(null, error), outputs);
  }

  /**
   * Returns what a job fails with if the current pass failed with `error` and no other follows: the failure for which
   * there was another pass at all.
   */
  finalError(error: ErrorRecord): { error: ErrorRecord; stage: string } | null {
    const { ended, current } = this.#passes;
    const last = ended.findLast(({ output }) => output !== null);
    if (last === undefined || isOfHost(error)) return null;
    const refusal = refusalOf(this.#stage, last.output, this.#context.options);
    if (refusal === null) return null;
    const tried = `then tried: ${current.reason}: ${error.code}: ${error.message}`;
    return {
      error: { ...refusal, causes: [...refusal.causes, tried, ...error.causes] },
      stage: this.#stage.name,
    };
  }

  /** Ends the current pass and makes `pass` the current one, durably. Can be repeated after a crash. */
  async begin(pass: Pass, output: unknown, error: ErrorRecord | null): Promise<PassRun> {
    const { base, ended } = this.#passes;
    const directory = await this.#keepEvidence();
    const passes: Passes = {
      base,
      ended: [...ended, { ...this.#ended(output, error), directory }],
      current: pass,
    };
    const { workDirectory } = this.#context;
    await writeDurable(join(workDirectory, FILE), `${JSON.stringify(passes, null, 2)}\n`, 0o600);
    await syncPath(workDirectory);
    return new PassRun(this.#stage, this.#context, passes);
  }

  async #next(last: EndedPass, outputs: Readonly<Record<string, unknown>>): Promise<Pass | null> {
    const { again } = this.#stage;
    if (again === undefined || !again.enabled(this.#context.options)) return null;
    return again.next(this.#context, outputs, [...this.#passes.ended, last]);
  }

  #ended(output: unknown, error: ErrorRecord | null): EndedPass {
    return { ...this.current, output: output as EndedPass['output'], error, directory: null };
  }

  /** Copies what the pass leaves, because its checkpoints are valid until the next one is stored. */
  async #keepEvidence(): Promise<string | null> {
    const { workDirectory } = this.#context;
    const name = attemptDirectory(this.number);
    const directory = join(workDirectory, name);
    const temporary = `${directory}.part`;
    await rm(directory, { recursive: true, force: true });
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { mode: 0o700 });
    let kept = 0;
    for (const file of this.#stage.again?.evidence ?? []) {
      if (!(await exists(join(workDirectory, file)))) continue;
      await cp(join(workDirectory, file), join(temporary, file), { recursive: true });
      kept++;
    }
    if (kept === 0) {
      await rm(temporary, { recursive: true });
      return null;
    }
    await syncTree(temporary);
    await rename(temporary, directory);
    return name;
  }
}

/** Says nothing about the guest or the options. */
function isOfHost({ code }: ErrorRecord): boolean {
  return /^(?:host|source|job|daemon|queue)\./.test(code);
}
