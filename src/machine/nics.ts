import { createHash } from 'node:crypto';
import { busOrder, vmwarePlace } from '../disk/base/vmware-slots.js';
import type { Hardware, Nic } from '../model/hardware.js';
import type { PlannedNic } from '../model/plan.js';

type DescribedHardware = Pick<Hardware, 'nics' | 'name'>;

/**
 * The new VM's NICs; at least one, and no fewer than the VM's own description (VMX, OVF) has. Its MACs count
 * first, else those that the guest's files bind names to: names and addresses in the guest hang on them. A card
 * of the description that has neither gets a MAC made of the VM's name, the same each time. They are in the
 * description's order, but for a guest that calls its cards eth0, eth1, …: see `inBusOrder`.
 */
export function machineNics(
  hardware: DescribedHardware | null,
  plan: { nics: readonly PlannedNic[] } | null,
): Hardware['nics'] {
  const bound = plan?.nics ?? [];
  if (hardware !== null && hardware.nics.length > 0) {
    const macs = describedMacs(
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
 * Returns the MAC of each described card. `known` are those that the guest's files have, in the order in which
 * they count where the description has no MAC at all.
 */
export function describedMacs(
  { nics, name }: DescribedHardware,
  known: readonly (string | null)[],
): string[] {
  const made = nics.map((_nic, index) => madeMac(name ?? '', index));
  const isDescribed = nics.some(({ mac }) => cardAddress(mac) !== null);
  const own = isDescribed ? [] : known.filter((mac) => mac !== null && !made.includes(mac));
  return nics.map(({ mac }, index) => cardAddress(mac) ?? own[index] ?? made[index]!);
}

/** Returns a MAC of QEMU's range for the card `index` of the VM that `seed` names. */
export function madeMac(seed: string, index: number): string {
  const digest = createHash('sha256').update(`hyper2kvm nic ${index} ${seed}`).digest();
  return [
    '52',
    '54',
    '00',
    ...[...digest.subarray(0, 3)].map((byte) => byte.toString(16).padStart(2, '0')),
  ].join(':');
}

/**
 * A kernel numbers cards in the order that it finds them in, and udev cannot exchange its numbers: two cards
 * whose order on KVM is another than on VMware's buses (the fifth card is the second there) would keep each
 * other's name.
 */
function inBusOrder(nics: Nic[]): Nic[] {
  const order = (nic: Nic) => busOrder(vmwarePlace(nic.pci_slot ?? 0));
  const isKnown = nics.every(({ pci_slot, model }) => pci_slot !== undefined && model === nics[0]?.model);
  return isKnown ? nics.toSorted((a, b) => order(a) - order(b)) : nics;
}

/**
 * Returns a card's MAC in lower case; null for none, and for what libvirt and QEMU refuse: anything else, and
 * multicast addresses.
 */
export function cardAddress(mac: string | null): string | null {
  return mac !== null && /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i.test(mac) ? mac.toLowerCase() : null;
}
