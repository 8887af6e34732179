import type { Hardware } from '../model/hardware.js';
import type { PlannedNic } from '../model/plan.js';

/**
 * Returns the new VM's NICs, in order: at least one, and no fewer than its own description (VMX, OVF) has.
 * MACs come from the description, otherwise from the guest's files that bind names to them, because names and
 * addresses in the guest depend on them.
 */
export function machineNics(
  hardware: Pick<Hardware, 'nics'> | null,
  plan: { nics: readonly PlannedNic[] } | null,
): Hardware['nics'] {
  const described = hardware?.nics ?? [];
  if (described.some(({ mac }) => mac !== null)) return described;
  const bound = plan?.nics ?? [];
  return Array.from({ length: Math.max(described.length, bound.length, 1) }, (_, index) => ({
    network: null,
    model: null,
    ...described[index],
    mac: bound[index]?.mac ?? null,
  }));
}

/**
 * Returns a card's MAC in lower case; null for none and for what libvirt and QEMU refuse: invalid and
 * multicast addresses.
 */
export function cardAddress(mac: string | null): string | null {
  return mac !== null && /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i.test(mac) ? mac.toLowerCase() : null;
}
