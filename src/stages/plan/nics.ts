import type { Plan } from '../../fixers/operation.js';
import type { Hardware } from '../fetch/schema.js';

/**
 * The new VM's NICs, in order; at least one. The VM's own description (VMX, OVF) counts first, else what the guest's files bind names to: names and addresses
 * in the guest hang on these MACs.
 */
export function domainNics(
  hardware: Pick<Hardware, 'nics'> | null,
  plan: Pick<Plan, 'nics'> | null,
): Hardware['nics'] {
  const described = hardware?.nics ?? [];
  if (described.some(({ mac }) => mac !== null)) return described;
  const bound = plan?.nics.map(({ mac }) => ({ mac, network: null, model: null })) ?? [];
  if (bound.length > 0) return bound;
  return described.length > 0 ? described : [{ mac: null, network: null, model: null }];
}
