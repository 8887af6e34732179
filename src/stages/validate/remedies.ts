import { withSettings } from '../../config/with-settings.js';
import type { Again, PassContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { familyOf } from '../../families/registry.js';
import { type Boot, rank } from '../../model/boot.js';
import type { EndedPass, Pass } from '../../model/pass.js';
import type { Plan } from '../../operations/plan.js';
import { canonicalJson } from '../../text/canonical-json.js';
import { makePlan, type PlanInput, type Planner, planInput, planInThread } from '../plan/make-plan.js';
import { acceptBoot } from './accept.js';
import { validateOutput } from './output.js';

/** After the first pass. */
const MAX_REMEDIES = 2;
/** Changes of which the plan is made: a guest may have many kernels. */
const MAX_PLANS = 8;

/**
 * Another plan after a boot that failed, or that lacks something: the family's remedies for its signature, in their
 * order, without those that lead to a plan that was booted already. If a remedy made it worse, the best plan is made
 * once more, for delivery.
 */
export const remediesBy = (planner: Planner): Again => ({
  from: 'plan',
  enabled: ({ kind, config: { validate } }) =>
    kind === 'vm' && validate.enabled && validate.remedies === 'auto',
  evidence: ['boot', 'plan.json', 'plan.diff'],
  async next(context, outputs, ended) {
    if (wasReturn(ended)) return null;
    const tried = ended.length - 1;
    const other = tried < MAX_REMEDIES ? await searched({ ...context, planner }, outputs, ended) : null;
    return other ?? returnToBest(context, ended);
  },
});

export const remedies = remediesBy(planInThread);

/** The last pass was one that had been before: nothing follows it. */
function wasReturn(ended: readonly EndedPass[]): boolean {
  const last = ended.at(-1);
  return last !== undefined && ended.slice(0, -1).some((pass) => isSame(pass, last));
}

const isSame = (a: Pick<Pass, 'options'>, b: Pick<Pass, 'options'>): boolean =>
  canonicalJson(a.options) === canonicalJson(b.options);

interface Booted {
  pass: EndedPass;
  boot: Boot;
}

function bootedPasses(ended: readonly EndedPass[]): Booted[] {
  return ended.flatMap((pass) => {
    const boot = pass.output === null ? null : validateOutput.parse(pass.output).boot;
    return boot === null ? [] : [{ pass, boot }];
  });
}

type SearchContext = PassContext & { planner: Planner };

/** The search for another plan, which must not cost a job what it has. */
async function searched(
  context: SearchContext,
  outputs: Readonly<Record<string, unknown>>,
  ended: readonly EndedPass[],
): Promise<Pass | null> {
  try {
    return await otherPlan(context, planInput.parse(outputs), ended);
  } catch (error) {
    if (context.signal.aborted || !(error instanceof Hyper2kvmError)) throw error;
    context.log.warn({ code: error.code, error: error.message }, 'no other plan could be looked for');
    return null;
  }
}

async function otherPlan(
  context: SearchContext,
  input: PlanInput,
  ended: readonly EndedPass[],
): Promise<Pass | null> {
  const last = bootedPasses(ended).at(-1);
  if (last === undefined) return null;
  const { boot } = last;
  const { identity } = input.inspect;
  const signs = signsOf(boot);
  const fitting = familyOf(identity).remedies.filter(({ signatures }) =>
    signatures.some((signature) => signs.includes(signature)),
  );
  if (fitting.length === 0) return null;
  const optionsOf = (pass: Pick<Pass, 'options'>) => withSettings(context.options, pass.options);
  const planOf = async (pass: Pick<Pass, 'options'>) =>
    (await makePlan(context, input, optionsOf(pass), { planner: context.planner })).plan;
  const plans = new Map<EndedPass, Plan>();
  for (const pass of ended) plans.set(pass, await planOf(pass));
  const tried = new Set([...plans].map(([pass, plan]) => essence(plan, pass)));
  const { devices } = plans.get(last.pass)!;
  const failed = { boot, identity, devices, options: optionsOf(last.pass) };
  const changes = fitting
    .flatMap(({ name, change }) => change(failed).map((changed) => ({ name, changed })))
    .slice(0, MAX_PLANS);
  for (const { name, changed } of changes) {
    const pass = { options: { ...last.pass.options, ...changed.options } };
    if (ended.some((other) => isSame(other, pass))) continue;
    const plan = await planOf(pass).catch((error: unknown) => notPossible(context, name, error));
    if (plan === null || tried.has(essence(plan, pass))) continue;
    return { reason: `${sayBoot(boot)}: ${changed.does}`, options: pass.options };
  }
  return null;
}

/** What of a plan, and of the machine, a boot depends on. */
function essence({ operations, devices, nics }: Plan, { options }: Pick<Pass, 'options'>): string {
  return canonicalJson([operations, devices, nics, options['vm.firmware'] ?? null]);
}

/** A plan that cannot be made for this guest is no remedy. */
function notPossible(context: PassContext, remedy: string, error: unknown): null {
  if (!(error instanceof Hyper2kvmError) || !error.code.startsWith('plan.')) throw error;
  context.log.info({ remedy, code: error.code, error: error.message }, 'remedy not possible');
  return null;
}

const signsOf = ({ failure, warnings }: Boot): string[] =>
  failure === null ? warnings.map(({ code }) => code) : [failure.signature];

function sayBoot({ failure, warnings }: Boot): string {
  if (failure !== null) return failure.meaning.replace(/\.$/, '');
  return `The VM booted, but ${warnings.map(({ message }) => message).join('; ')}`;
}

/**
 * Returns the best of the earlier passes if the job could go on with it and the last one is worse: that the pipeline
 * looked for a better plan must not cost a job its result.
 */
function returnToBest(context: PassContext, ended: readonly EndedPass[]): Pass | null {
  const acceptable = ended.filter(
    ({ output }) => output !== null && acceptBoot(validateOutput.parse(output), context.options) === null,
  );
  const last = ended.at(-1);
  const [best] = acceptable.toSorted((a, b) => worth(b) - worth(a));
  if (last === undefined || best === undefined || worth(best) <= worth(last)) return null;
  const reason = best.reason ?? 'the first plan';
  return { reason: `No other plan did better than this one: ${reason}`, options: best.options };
}

const VERDICTS: Record<Boot['verdict'], number> = { failed: 100, inconclusive: 200, booted: 300 };

/** How good the end of a pass is: its verdict, how far the boot came, then how much is missing in the booted guest. */
function worth(pass: EndedPass): number {
  const [booted] = bootedPasses([pass]);
  if (booted === undefined) return 0;
  const { verdict, level, warnings } = booted.boot;
  return VERDICTS[verdict] + 10 * rank(level) - Math.min(9, warnings.length);
}
