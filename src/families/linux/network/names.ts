import { busOrder, placeOfName, vmwarePlace } from '../../../disk/base/vmware-slots.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { Operation } from '../../../operations/registry.js';
import { putFile } from '../../base/edit.js';
import { type Card, type ConfiguredInterface, NETWORK_FIXER } from './backend.js';
import { linkBindings } from './networkd.js';
import { ruleBindings } from './udev.js';

/**
 * The order in which VMware assigns slots: e1000 in slots 32 and up (`ens32` …), vmxnet3 in 160, 192, 224 and
 * 256, then the second functions 161, 193, 225 and 257. Other names are ordered by their number.
 */
const VMWARE_ORDER = [160, 192, 224, 256, 161, 193, 225, 257].map((slot) => placeOfName(`ens${slot}`)!);

/** Compares names in the order of their cards. */
export function byName(a: string, b: string): number {
  const rank = (name: string) => {
    const place = placeOfName(name);
    const slot = VMWARE_ORDER.findIndex(({ bus, device }) => place?.bus === bus && place.device === device);
    if (slot >= 0) return slot;
    return (place === null ? Number(/\d+$/.exec(name)?.[0] ?? 0) : busOrder(place)) - 100_000;
  };
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

const isPlace = (name: string, slot: number | null): boolean => {
  const place = placeOfName(name);
  if (slot === null || place === null) return false;
  return busOrder(place) === busOrder(vmwarePlace(slot));
};

/** VirtualBox's cards are in these slots of the root bus, in this order: enp0s3, enp0s8, … */
const VIRTUALBOX_DEVICES = [3, 8, 9, 10, 16, 17, 18, 19];

/**
 * Returns the card whose position fits the name: in the slots that VMware would assign, among VirtualBox's
 * adapters, or on the bus for the kernel's own names (`net.ifnames=0`, or before systemd 197), if one driver
 * has all the cards.
 */
function byOrder(name: string, cards: readonly Card[]): Card | undefined {
  const likely = cards.find((card) => isPlace(name, card.likelySlot));
  if (likely !== undefined) return likely;
  if (cards.every(({ slot }) => slot === null) && /^enp0s\d+$/.test(name))
    return cards[VIRTUALBOX_DEVICES.indexOf(Number(name.slice(5)))];
  const number = /^eth(\d+)$/.exec(name)?.[1];
  const isOneDriver = new Set(cards.map(({ model }) => model)).size === 1;
  if (number === undefined || !isOneDriver) return undefined;
  return inBusOrder(cards)[Number(number)];
}

/** Returns the cards in the order in which a kernel finds them: by VMware's slots, if all are known. */
function inBusOrder(cards: readonly Card[]): readonly Card[] {
  const places = cards.flatMap(({ slot, likelySlot }) => slot ?? likelySlot ?? []).map(vmwarePlace);
  if (places.length < cards.length) return cards;
  return cards.toSorted((a, b) => busOrder(places[cards.indexOf(a)]!) - busOrder(places[cards.indexOf(b)]!));
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
  for (const name of open()) known.set(name, free().find((card) => isPlace(name, card.slot))?.mac ?? null);
  const guessed = new Set<string>();
  const guess = (name: string, mac: string | null) => {
    known.set(name, mac);
    if (mac !== null && cards.length > 1) guessed.add(name);
  };
  for (const name of open()) {
    const card = byOrder(name, cards);
    if (card !== undefined && free().includes(card)) guess(name, card.mac);
  }
  const [names, left] = [open().sort(byName), free()];
  if (names.length === left.length)
    for (const [index, name] of names.entries()) {
      const { mac = null, slot = null } = left[index] ?? {};
      // The last card belongs to the last name, unless that names another slot.
      const isOnlyOne = names.length === 1 && (slot === null || placeOfName(name) === null);
      if (isOnlyOne) known.set(name, mac);
      else guess(name, mac);
    }
  return {
    interfaces: interfaces.map(({ name }) => ({ name, mac: known.get(name) ?? null })),
    guessed: [...guessed],
  };
}

/**
 * Returns the names that the guest gave to the cards, with the cards' MACs; without those whose slot is
 * unknown.
 */
export function ownNames(cards: readonly Card[], isKernelNamed: boolean): ConfiguredInterface[] {
  if (isKernelNamed) return inBusOrder(cards).map(({ mac }, index) => ({ name: `eth${index}`, mac }));
  return cards.flatMap(({ mac, slot, likelySlot }) => {
    const number = slot ?? likelySlot;
    return number === null ? [] : [{ name: `ens${(number & 1023) + (number >> 10)}`, mac }];
  });
}

/**
 * Returns the files that make udev give `name` to the card with `mac` (null: to the card of `driver`); none
 * if the guest's own files do so.
 */
export function bindName(
  tree: GuestTree,
  { name, mac }: ConfiguredInterface,
  options: { driver: string; hasSystemd: boolean; alwaysByRule: boolean },
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
    options.hasSystemd && appliesLinksTwice(tree) && !options.alwaysByRule
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
