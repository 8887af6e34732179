import { Hyper2kvmError } from '../../errors/error.js';
import type { GuestTree } from '../../guest/tree.js';
import type { Warning } from '../../model/plan.js';
import { applyTo } from '../../operations/apply-operations.js';
import type { Operation } from '../../operations/registry.js';
import type { NetworkExpectation } from '../base/family.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { chooseDevices } from './devices.js';
import {
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
import { assignMacs, bindName } from './network/names.js';
import { netplan } from './network/netplan.js';
import { networkManager } from './network/network-manager.js';
import { linkBindings, networkd } from './network/networkd.js';
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
  description:
    'Network cards get new bus addresses and drivers on KVM, so their names would change and their configuration would not apply. Each configured name is bound to the card’s MAC by a .link file (a udev rule where systemd is old or absent); with several cards, VMware’s slot number tells which one was ens192. A name whose card is unknown is not bound, with a warning. Conditions that only the old hypervisor’s cards meet are removed. Addresses, routes, DNS, bonds, bridges and VLANs stay as they are. Only with fix.network = "dhcp" are they replaced by DHCP.',
  plan(guest) {
    const context = networkContext(guest);
    const warnings = context.warnings;
    const draft = { identity: guest.identity, tree: guest.tree.draft() };
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
    const options = { driver: context.driver, hasSystemd: guest.identity.init_system === 'systemd' };
    for (const card of boundCards(context, warnings)) take(bindName(tree, card, options));
    if (guest.options.network === 'dhcp') take(useDhcp(tree));
    return { operations, warnings, nics: [...context.interfaces] };
  },
};

/** Returns the network that the guest is configured for. Meant for the tree as it is after FIX. Pure. */
export function expectedNetwork(tree: GuestTree): NetworkExpectation {
  return mergeExpectations(BACKENDS.flatMap((backend) => backend.expects?.(tree) ?? []));
}

const DRIVERS = { virtio: 'virtio_net', e1000: 'e1000', e1000e: 'e1000e', rtl8139: '8139cp' } as const;

function networkContext(guest: Guest): NetworkContext & { warnings: Warning[] } {
  const { tree, hardware } = guest;
  const cards = hardware.nics.map(({ mac, model, pci_slot }) => ({
    mac: normaliseMac(mac ?? undefined),
    slot: pci_slot ?? null,
    model: model?.toLowerCase() ?? null,
  }));
  const hardwareMacs = cards.flatMap(({ mac }) => mac ?? []);
  const found = mergeInterfaces(BACKENDS.flatMap((backend) => backend.interfaces(tree)));
  // Rules and .link files have the MACs of names that the configuration merely uses.
  const bound = [...ruleBindings(tree), ...linkBindings(tree)].filter(({ mac }) => mac !== null);
  const known = found.map(({ name, mac }) => {
    const own = mac ?? bound.find((binding) => binding.name === name)?.mac ?? null;
    const isThere = own === null || hardwareMacs.length === 0 || hardwareMacs.includes(own);
    return { name, mac: isThere ? own : null };
  });
  const { interfaces, guessed } = assignMacs(known, cards);
  const message = `no file of the guest says which card is which: ${guessed.join(', ')} were assigned to the VM's NICs in order`;
  const warnings = guessed.length > 0 ? [{ fixer: NETWORK_FIXER, code: 'network.order', message }] : [];
  return {
    tree,
    cards,
    hardwareMacs,
    interfaces,
    driver: DRIVERS[chooseDevices(guest).devices.nic_model],
    warnings,
  };
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
