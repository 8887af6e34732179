import { Hyper2kvmError } from '../../errors/error.js';
import { kernelCommandLines } from '../../guest/command-line-files.js';
import type { GuestTree } from '../../guest/tree.js';
import { describedMacs, madeMac } from '../../machine/nics.js';
import type { Warning } from '../../model/plan.js';
import { applyTo } from '../../operations/apply-operations.js';
import type { Operation } from '../../operations/registry.js';
import type { NetworkExpectation } from '../base/family.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { chooseDevices } from './devices.js';
import {
  type Card,
  type ConfiguredInterface,
  mergeExpectations,
  mergeInterfaces,
  NETWORK_FIXER,
  type NetworkBackend,
  type NetworkContext,
  normaliseMac,
} from './network/backend.js';
import { ifcfg } from './network/ifcfg.js';
import { ifupdown } from './network/ifupdown.js';
import { assignMacs, bindName, byName, ownNames } from './network/names.js';
import { netplan } from './network/netplan.js';
import { networkManager } from './network/network-manager.js';
import { linkBindings, networkd } from './network/networkd.js';
import { acceptsKvm, firstName, type NamePattern } from './network/patterns.js';
import { ruleBindings, udevRules } from './network/udev.js';
import { wicked } from './network/wicked.js';

/** Everything that may configure a network card; each backend reads only its own files. */
const BACKENDS: readonly NetworkBackend[] = [
  netplan,
  networkManager,
  networkd,
  ifcfg,
  wicked,
  ifupdown,
  udevRules,
];

export const network: Fixer = {
  name: NETWORK_FIXER,
  whileRunning: false,
  description:
    'Network cards get new bus addresses and drivers on KVM, so their names would change and their configuration would not apply. Each configured name is bound to the card’s MAC by a .link file (a udev rule where systemd is old or absent); with several cards, VMware’s slot number tells which one was ens192 (or enp11s0, eno33557248). A card that is known only by its order (VirtualBox’s adapters, the kernel’s eth0 and eth1) is bound with a warning; a name whose card is unknown is not bound, with a warning. For a file that selects cards by a pattern (ens*), the cards keep the names they had. A connection’s label is never used as a name. Conditions that only the old hypervisor’s cards meet are removed. Addresses, routes, DNS, bonds, bridges and VLANs stay as they are. With fix.interface_names = "mac" every name is bound by a udev rule too, which goes over the guest’s own .link files, and cards that nothing tells apart are taken in order. Only with fix.network = "dhcp" are they replaced by DHCP.',
  plan(guest) {
    const context = networkContext(guest);
    const warnings = context.warnings;
    const draft = { identity: guest.identity, tree: guest.tree.draft(), registry: guest.registry };
    const { tree } = draft;
    const operations: Operation[] = [];
    const take = (more: readonly Operation[]) => {
      operations.push(...more);
      applyTo(draft, more);
    };
    for (const backend of BACKENDS) {
      const unpinned = backend.unpin?.({ ...context, tree });
      if (unpinned === undefined) continue;
      take(unpinned.operations);
      warnings.push(...unpinned.warnings);
    }
    const options = {
      driver: context.driver,
      hasSystemd: guest.identity.init_system === 'systemd',
      alwaysByRule: guest.options.interface_names === 'mac',
    };
    for (const card of boundCards(context, warnings)) take(bindName(tree, card, options));
    if (guest.options.network === 'dhcp') take(useDhcp(tree));
    return { operations, warnings, nics: [...context.interfaces] };
  },
};

/** Returns the network that the guest is configured for. Meant for the tree as it is after FIX. Pure. */
export function expectedNetwork(tree: GuestTree): NetworkExpectation {
  return mergeExpectations(BACKENDS.flatMap((backend) => backend.expects?.(tree) ?? []));
}

const DRIVERS = {
  virtio: 'virtio_net',
  e1000: 'e1000',
  e1000e: 'e1000e',
  rtl8139: '8139cp',
  vmxnet3: 'vmxnet3',
} as const;

function networkContext(guest: Guest): NetworkContext & { warnings: Warning[] } {
  const { tree, hardware } = guest;
  const hardwareMacs = hardware.nics.flatMap(({ mac }) => normaliseMac(mac ?? undefined) ?? []);
  const found = mergeInterfaces(BACKENDS.flatMap((backend) => backend.interfaces(tree)));
  // Rules and .link files have the MACs of names that the configuration merely uses.
  const bound = [...ruleBindings(tree), ...linkBindings(tree)].filter(({ mac }) => mac !== null);
  const known = found.map(({ name, mac }) => {
    const own = mac ?? bound.find((binding) => binding.name === name)?.mac ?? null;
    const isThere = own === null || hardwareMacs.length === 0 || hardwareMacs.includes(own);
    return { name, mac: isThere ? own : null };
  });
  const cards = cardsOf(guest, known);
  const patterns = BACKENDS.flatMap((backend) => backend.patterns?.(tree) ?? []);
  const isByNumber =
    patterns.length > 0 || known.some(({ name, mac }) => mac === null && /^eth\d/.test(name));
  const isKernelNamed = isByNumber && namesByKernel(tree);
  const byPattern = namesOfPatterns(patterns, { known, cards, isKernelNamed });
  const assigned = assign(guest.vm, [...known, ...byPattern.interfaces], cards);
  const { interfaces, guessed } =
    guest.options.interface_names === 'mac' ? assignRest(assigned, cards) : assigned;
  const why = isKernelNamed ? ' (net.ifnames=0: the kernel numbers them in the order of the bus)' : '';
  const message = `no file of the guest says which card is which: ${guessed.join(', ')} ${guessed.length === 1 ? 'was' : 'were'} assigned to the VM's NICs in order${why}`;
  const warnings = guessed.length > 0 ? [{ fixer: NETWORK_FIXER, code: 'network.order', message }] : [];
  return {
    tree,
    cards,
    hardwareMacs,
    interfaces,
    driver: DRIVERS[chooseDevices(guest).devices.nic_model],
    warnings: [...warnings, ...byPattern.warnings],
  };
}

/**
 * Returns the VM's cards from its description. A card without a MAC gets the one that the domain will give it
 * (machine/nics.ts), unless it is the only card: that one is matched by its driver.
 */
function cardsOf({ vm, hardware }: Guest, known: readonly ConfiguredInterface[]): Card[] {
  const macs = describedMacs(
    vm,
    hardware,
    known.map(({ mac }) => mac),
  );
  return hardware.nics.map(({ mac, model, pci_slot, likely_slot }, index) => ({
    mac: normaliseMac((hardware.nics.length === 1 ? mac : macs[index]) ?? undefined),
    slot: pci_slot ?? null,
    likelySlot: pci_slot === undefined ? (likely_slot ?? null) : null,
    model: model?.toLowerCase() ?? null,
  }));
}

/**
 * Assigns MACs to the interfaces. Without a description, the domain gets one NIC for each interface, with a
 * generated MAC.
 */
function assign(vm: string, known: readonly ConfiguredInterface[], cards: readonly Card[]) {
  if (cards.length > 0 || known.length < 2) return assignMacs(known, cards);
  const interfaces = known
    .toSorted((a, b) => byName(a.name, b.name))
    .map(({ name, mac }, index) => ({ name, mac: mac ?? madeMac(vm, index) }));
  const guessed = known.filter(({ mac }) => mac === null).map(({ name }) => name);
  return { interfaces, guessed: guessed.sort(byName) };
}

/** Gives the interfaces without a MAC the cards that are left, in the order of their names. */
function assignRest({ interfaces, guessed }: ReturnType<typeof assignMacs>, cards: readonly Card[]) {
  const taken = new Set(interfaces.map(({ mac }) => mac));
  const left = cards.flatMap(({ mac }) => (mac === null || taken.has(mac) ? [] : [mac]));
  const names = interfaces.flatMap(({ name, mac }) => (mac === null ? [name] : [])).sort(byName);
  const macs = new Map(names.map((name, index) => [name, left[index] ?? null]));
  return {
    interfaces: interfaces.map(({ name, mac }) => ({ name, mac: mac ?? macs.get(name) ?? null })),
    guessed: [...guessed, ...names.filter((name) => macs.get(name) !== null)],
  };
}

/** True if the command line turns systemd's names off, so that the kernel's own (`eth0`) stay. */
const namesByKernel = (tree: GuestTree): boolean =>
  kernelCommandLines(tree).some((args) => /(?<!\S)net\.ifnames=0(?!\S)/.test(args));

/** Returns the old names of the cards that a pattern selects, if it does not match their names on KVM. */
function namesOfPatterns(
  patterns: readonly NamePattern[],
  vm: { known: readonly ConfiguredInterface[]; cards: readonly Card[]; isKernelNamed: boolean },
): { interfaces: ConfiguredInterface[]; warnings: Warning[] } {
  const interfaces: ConfiguredInterface[] = [];
  const warnings: Warning[] = [];
  const isKnown = ({ name, mac }: ConfiguredInterface) =>
    [...vm.known, ...interfaces].some((one) => one.name === name || (mac !== null && one.mac === mac));
  for (const pattern of patterns) {
    if (acceptsKvm(pattern, vm.isKernelNamed)) continue;
    const names = ownNames(vm.cards, vm.isKernelNamed).filter(({ name }) => pattern.accepts(name));
    interfaces.push(...names.filter((one) => !isKnown(one)));
    if ([...vm.known, ...interfaces].some(({ name }) => pattern.accepts(name))) continue;
    const name = vm.cards.length <= 1 && vm.known.length === 0 ? firstName(pattern) : null;
    if (name !== null && !isKnown({ name, mac: null })) {
      interfaces.push({ name, mac: vm.cards[0]?.mac ?? null });
      continue;
    }
    const message = `${pattern.path} configures cards named ${pattern.text}, and it is unknown which cards of the VM had such a name: on KVM they get other names, and no address`;
    warnings.push({ fixer: NETWORK_FIXER, code: 'network.unknown-mac', message });
  }
  return { interfaces, warnings };
}

/**
 * Returns the interfaces whose names can be bound: all with a MAC, and the only interface of a guest with one
 * card.
 */
function boundCards({ interfaces, cards }: NetworkContext, warnings: Warning[]): ConfiguredInterface[] {
  const [only, ...others] = interfaces;
  if (only !== undefined && others.length === 0) {
    if (only.mac !== null || cards.length <= 1) return [only];
    const message = `the VM has ${cards.length} network cards, and it is unknown which of them is ${only.name}: it may get another name on KVM, and no address`;
    warnings.push({ fixer: NETWORK_FIXER, code: 'network.unknown-mac', message });
    return [];
  }
  const open = interfaces.filter(({ mac }) => mac === null).map(({ name }) => name);
  if (open.length > 0) {
    const message = `neither the guest nor the VM's description has the MACs of ${open.join(', ')}: these interfaces may get other names`;
    warnings.push({ fixer: NETWORK_FIXER, code: 'network.unknown-mac', message });
  }
  return interfaces.filter(({ mac }) => mac !== null);
}

function useDhcp(tree: NetworkContext['tree']): Operation[] {
  const configured = BACKENDS.filter((backend) => backend.interfaces(tree).length > 0);
  const unable = configured.filter((backend) => backend.dhcp === undefined).map(({ name }) => name);
  if (unable.length > 0)
    throw new Hyper2kvmError(
      'plan.network-dhcp',
      `fix.network = "dhcp" is not possible with ${unable.join(', ')}`,
    );
  return configured.flatMap((backend) => backend.dhcp?.(tree) ?? []);
}
