import { createHash } from 'node:crypto';
import { busOrder, vmwarePlace } from '../disk/base/vmware-slots.js';
import type { Hardware, Nic } from '../model/hardware.js';
import type { PlannedNic } from '../model/plan.js';

/**
 * Returns the new VM's NICs: at least one, and at least as many as the VM's own description (VMX, OVF) has.
 * The description's MACs come first, then those that the guest's files bind names to, because names and
 * addresses in the guest depend on them. A described card without either gets a MAC generated from the new VM's
 * name `vm`, the same every time. The order is the description's, except for a guest with names such as eth0: see
 * `inBusOrder`.
 */
export function machineNics(
  vm: string,
  hardware: Pick<Hardware, 'nics'> | null,
  plan: { nics: readonly PlannedNic[] } | null,
): Hardware['nics'] {
  const bound = plan?.nics ?? [];
  if (hardware !== null && hardware.nics.length > 0) {
    const macs = describedMacs(
      vm,
      hardware,
      bound.map(({ mac }) => mac),
    );
    const more = hardware.nics.some(({ mac }) => cardAddress(mac) !== null)
      ? []
      : bound.slice(hardware.nics.length);
    const nics = hardware.nics.map((nic, index) => ({ ...nic, mac: macs[index] ?? null }));
    const isByKernel = bound.some(({ name }) => /^eth\d+$/.test(name));
    return [...(isByKernel ? inBusOrder(nics) : nics), ...more.map(({ mac }) => nicWith(mac))];
  }
  return bound.length === 0 ? [nicWith(null)] : bound.map(({ mac }) => nicWith(mac));
}

const nicWith = (mac: string | null): Nic => ({ mac, network: null, model: null });

/**
 * Returns the MAC of each described card of the VM `vm`. `known` are the MACs in the guest's files; they are used
 * in that order if the description has none.
 */
export function describedMacs(
  vm: string,
  { nics }: Pick<Hardware, 'nics'>,
  known: readonly (string | null)[],
): string[] {
  const made = nics.map((_nic, index) => madeMac(vm, index));
  const isDescribed = nics.some(({ mac }) => cardAddress(mac) !== null);
  const own = isDescribed ? [] : known.filter((mac) => mac !== null && !made.includes(mac));
  return nics.map(({ mac }, index) => cardAddress(mac) ?? own[index] ?? made[index]!);
}

/**
 * Returns a MAC in QEMU's range for the card `index` of the new VM with that name. Its old name would not do: all
 * copies of an appliance have the same, and some descriptions have none.
 */
export function madeMac(vm: string, index: number): string {
  const digest = createHash('sha256').update(`hyper2kvm nic ${index} ${vm}`).digest();
  return [
    '52',
    '54',
    '00',
    ...[...digest.subarray(0, 3)].map((byte) => byte.toString(16).padStart(2, '0')),
  ].join(':');
}

/**
 * Returns the NICs in the order of VMware's buses, where the fifth card comes second. The kernel numbers
 * cards (eth0, eth1) in the order in which it finds them, and udev cannot swap two such names: on KVM the
 * cards must therefore be found in the same order.
 */
function inBusOrder(nics: Nic[]): Nic[] {
  const order = (nic: Nic) => busOrder(vmwarePlace(nic.pci_slot ?? 0));
  const isKnown = nics.every(({ pci_slot, model }) => pci_slot !== undefined && model === nics[0]?.model);
  return isKnown ? nics.toSorted((a, b) => order(a) - order(b)) : nics;
}

/**
 * Returns a card's MAC in lower case; null for none and for what libvirt and QEMU refuse: invalid and
 * multicast addresses.
 */
export function cardAddress(mac: string | null): string | null {
  return mac !== null && /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i.test(mac) ? mac.toLowerCase() : null;
}
