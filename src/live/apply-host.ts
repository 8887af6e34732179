import { withUnifiedImages } from '../access/unified-images.js';
import { Hyper2kvmError } from '../errors/error.js';
import { proveOutcomes } from '../operations/prove-outcomes.js';
import type { HostAccess } from '../ssh/open-host.js';
import type { HostPlan } from './plan-host.js';

/**
 * Applies the plan if it is the one that was approved, and compares each file on the host with it. Returns what
 * was found correct. Rejects with `live.*`.
 */
export async function applyHost(
  access: HostAccess,
  { plan, digest, writer }: HostPlan,
  approved: string,
): Promise<string[]> {
  if (digest !== approved)
    throw new Hyper2kvmError('live.plan-changed', `the plan is ${digest} now, and not ${approved}`);
  await writer.sync();
  return proveOutcomes(withUnifiedImages(access.writer({ selinux: false })), plan.operations);
}
