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
  return refusedBy(error).message;
}

/** Returns the refusal itself; any other failure is rethrown. */
export function refusedBy(error: unknown): Hyper2kvmError {
  if (error instanceof Hyper2kvmError && REFUSALS.has(error.code)) return error;
  throw error;
}

const REFUSALS: ReadonlySet<string> = new Set(['guest.call-failed', 'guest.filesystem-too-new']);

/** Advice for a guest's filesystem that is newer than the kernel that reads it. */
export const TOO_NEW_ADVICE =
  'The filesystem is not damaged. Convert the VM on a host with a newer kernel (the appliance runs the host’s; SUPERMIN_KERNEL and SUPERMIN_MODULES name another one that is installed).';
