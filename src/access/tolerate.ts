import { Hyper2kvmError } from '../errors/error.js';
import type { Warning } from '../model/plan.js';

/** What INSPECT found broken but did not need; the report shows it beside the plan's warnings. */
export type Warnings = Warning[];

/**
 * Returns the result of `work`, or null with a warning if the guest refuses it: a part that is not needed
 * must not fail the VM. Still rejects if the access itself is lost or does not answer, which says nothing
 * about the guest.
 */
export async function tolerate<Result>(
  work: () => Promise<Result>,
  { warnings, message }: { warnings: Warnings; message: (reason: string) => string },
): Promise<Result | null> {
  try {
    return await work();
  } catch (error) {
    const reason = refusal(error);
    warnings.push({ fixer: 'inspect', code: 'inspect.skipped', message: message(reason) });
    return null;
  }
}

/** Returns why the guest's disk refused a call; rethrows any other error. */
export function refusal(error: unknown): string {
  if (error instanceof Hyper2kvmError && error.code === 'guest.call-failed') return error.message;
  throw error;
}
