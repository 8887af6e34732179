import { Hyper2kvmError } from '../../errors/error.js';
import type { Guest } from '../../families/base/fixer.js';
import { planGuest, planNothing } from '../../families/plan.js';
import { familyOf } from '../../families/registry.js';
import type { Identity } from '../../model/identity.js';
import type { Plan } from '../../operations/plan.js';
import { canonicalJson } from '../../text/canonical-json.js';
import { planDiff } from './plan-diff.js';

/** `snapshot` is the absolute path of INSPECT's file. */
export interface PlanRequest {
  snapshot: string;
  guest: Omit<Guest<Identity>, 'tree' | 'registry'>;
  /** The guest still runs on its old hypervisor. */
  isRunning: boolean;
  warnings: Plan['warnings'];
}

/** `json` and `diff` are the contents of plan.json and plan.diff. */
export interface PlanAnswer {
  plan: Plan;
  json: string;
  diff: string;
}

/** Characters of plan.json. Plans of real guests have tens of thousands. */
const LARGEST_PLAN = 16 * 1024 * 1024;

/** Makes the plan that is asked for, of the snapshot in its file. Throws `plan.*`. */
export async function planRequested({
  snapshot,
  guest,
  isRunning,
  warnings,
}: PlanRequest): Promise<PlanAnswer> {
  const whole = { ...guest, ...(await familyOf(guest.identity).load(snapshot)) };
  const decided = guest.options.mode === 'none' ? planNothing(whole) : planGuest(whole, { isRunning });
  const plan = { ...decided, warnings: [...warnings, ...decided.warnings] };
  const json = `${canonicalJson(plan, 2)}\n`;
  if (json.length > LARGEST_PLAN) throw tooLarge(plan);
  return { plan, json, diff: planDiff(plan) };
}

function tooLarge({ operations }: Plan): Hyper2kvmError {
  return new Hyper2kvmError(
    'plan.too-large',
    `the plan has ${operations.length} operations and more than 16 MiB of text`,
  );
}
