import type { GuestTree } from '../../../guest/tree.js';
import type { Operation } from '../../../operations/registry.js';
import { putFile } from '../../base/edit.js';
import { type Card, type ConfiguredInterface, NETWORK_FIXER } from './backend.js';
import { linkBindings } from './networkd.js';
import { ruleBindings } from './udev.js';

/**
 * The order in which VMware's slot numbers name the cards: e1000 in slots 32 and up (`ens32` …), vmxnet3 in
 * 160 and 192 (`ens160`, `ens192`), then 224, 256 and the second row 161, 193, 225, 257. Other names are
 * ordered by their number.
 */
const VMWARE_ORDER = ['ens160', 'ens192', 'ens224', 'ens256', 'ens161', 'ens193', 'ens225', 'ens257'];

function byName(a: string, b: string): number {
  const rank = (name: string) => {
    const slot = VMWARE_ORDER.indexOf(name);
    return slot >= 0 ? slot : Number(/\d+$/.exec(name)?.[0] ?? 0) - 100_000;
  };
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

/** Returns the card in VMware's slot: systemd's `ens192` is the card in slot 192. */
const bySlot = (name: string, cards: readonly Card[]): Card | undefined =>
  cards.find(({ slot }) => slot !== null && name === `ens${slot}`);

/**
 * Returns the card of a name that the kernel gave (`net.ifnames=0`, or before systemd 197). These follow the
 * bus, and so VMware's slot numbers, if one driver has all the cards.
 */
function byBus(name: string, cards: readonly Card[]): Card | undefined {
  const number = /^eth(\d+)$/.exec(name)?.[1];
  const isOneDriver = new Set(cards.map(({ model }) => model)).size === 1;
  if (number === undefined || !isOneDriver || cards.some(({ slot }) => slot === null)) return undefined;
  return cards.toSorted((a, b) => (a.slot ?? 0) - (b.slot ?? 0))[Number(number)];
}

/**
 * Gives the MACs of the VM's NICs to the interfaces that no file of the guest ties to one. `guessed` are the
 * names whose MAC was inferred from the order of the cards: on VMware it agrees with the order of the names,
 * but nothing proves it.
 */
export function assignMacs(
  interfaces: readonly ConfiguredInterface[],
  cards: readonly Card[],
): { interfaces: ConfiguredInterface[]; guessed: string[] } {
  const known = new Map(interfaces.map(({ name, mac }) => [name, mac]));
  const free = () => cards.filter(({ mac }) => mac !== null && ![...known.values()].includes(mac));
  const open = () => interfaces.map(({ name }) => name).filter((name) => known.get(name) === null);
  for (const name of open()) known.set(name, bySlot(name, free())?.mac ?? null);
  const guessed = new Set<string>();
  const guess = (name: string, mac: string | null) => {
    known.set(name, mac);
    if (mac !== null && cards.length > 1) guessed.add(name);
  };
  for (const name of open()) {
    const card = byBus(name, cards);
    if (card !== undefined && free().includes(card)) guess(name, card.mac);
  }
  const [names, left] = [open().sort(byName), free()];
  if (names.length === left.length)
    for (const [index, name] of names.entries()) {
      const { mac = null, slot = null } = left[index] ?? {};
      // The last card belongs to the last name, unless that names another slot.
      const isOnlyOne = names.length === 1 && (slot === null || !/^ens\d+$/.test(name));
      if (isOnlyOne) known.set(name, mac);
      else guess(name, mac);
    }
  return {
    interfaces: interfaces.map(({ name }) => ({ name, mac: known.get(name) ?? null })),
    guessed: [...guessed],
  };
}

/**
 * Returns the files that make udev give `name` to the card with `mac` (null: to the card of `driver`); none
 * if the guest's own files do so.
 */
export function bindName(
  tree: GuestTree,
  { name, mac }: ConfiguredInterface,
  options: { driver: string; hasSystemd: boolean },
): Operation[] {
  const reason = `the card's address on the bus is another on KVM: without this ${name} would have a new name and no configuration`;
  const cause = { fixer: NETWORK_FIXER, reason };
  const isBound = (binding: { name: string; mac: string | null; isPinned: boolean }) =>
    binding.name === name && binding.mac === mac && mac !== null && !binding.isPinned;
  const own = `/etc/systemd/network/10-hyper2kvm-${name}.link`;
  const links = linkBindings(tree).some((binding) => binding.path !== own && isBound(binding));
  const condition = mac === null ? `Driver=${options.driver}` : `MACAddress=${mac}`;
  const link = () =>
    putFile(
      tree,
      own,
      cause,
      `# Written by hyper2kvm: keeps the name of this network card.\n[Match]\n${condition}\n\n[Link]\nName=${name}\n`,
    );
  const rules =
    options.hasSystemd && appliesLinksTwice(tree)
      ? []
      : bindByRule(tree, { name, mac }, options.driver, isBound);
  return [...(options.hasSystemd && !links ? link() : []), ...rules];
}

/**
 * True if systemd applies .link files to cards that the initramfs's udev has renamed already. systemd before
 * 241 does not, and needs a rule instead. The unit came with 245 and was not backported.
 */
function appliesLinksTwice(tree: GuestTree): boolean {
  return ['/usr/lib', '/lib'].some((lib) =>
    tree.exists(`${lib}/systemd/system/systemd-network-generator.service`),
  );
}

const RULES = '/etc/udev/rules.d/70-hyper2kvm-net.rules';

function bindByRule(
  tree: GuestTree,
  { name, mac }: ConfiguredInterface,
  driver: string,
  isBound: (binding: ReturnType<typeof ruleBindings>[number]) => boolean,
): Operation[] {
  // Without udev (Alpine's mdev) cards keep the kernel's names, which do not change.
  if (!tree.isDirectory('/etc/udev') && !tree.isDirectory('/lib/udev')) return [];
  const text = tree.text(RULES)?.text ?? '# Written by hyper2kvm: keeps the names of the network cards.\n';
  const condition = mac === null ? `DRIVERS=="${driver}"` : `DRIVERS=="?*", ATTR{address}=="${mac}"`;
  const rule = `SUBSYSTEM=="net", ACTION=="add", ${condition}, ATTR{type}=="1", NAME="${name}"\n`;
  if (text.includes(rule) || ruleBindings(tree).some(isBound)) return [];
  const reason = `the card's address on the bus is another on KVM: without this ${name} would have a new name and no configuration`;
  return putFile(tree, RULES, { fixer: NETWORK_FIXER, reason }, `${text}${rule}`);
}
