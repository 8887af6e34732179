import { isIP } from 'node:net';
import type { GuestTree } from '../../../guest/tree.js';
import type { Warning } from '../../../model/plan.js';
import type { Operation } from '../../../operations/registry.js';
import type { NetworkExpectation } from '../../base/family.js';
import type { NamePattern } from './patterns.js';

/**
 * An interface as one file of the guest knows it. `mac` is the hardware's, lower case, where the file ties
 * one to the name.
 */
export interface ConfiguredInterface {
  name: string;
  mac: string | null;
}

/** A network card of the VM, by its own description. */
export interface Card {
  /** Lower case. */
  mac: string | null;
  /** VMware's slot number; null where it is not known. */
  slot: number | null;
  /** The one that VMware would have given it; null where its slot is known. */
  likelySlot: number | null;
  /** `vmxnet3`, lower case; null where it is not known. */
  model: string | null;
}

export interface NetworkContext {
  tree: GuestTree;
  /** In the description's order; empty when there is none. */
  cards: readonly Card[];
  /** MACs of the VM's NICs by its own description, lower case; empty when there is none. */
  hardwareMacs: readonly string[];
  /** All physical interfaces that the guest configures, with the MACs they were bound to. */
  interfaces: readonly ConfiguredInterface[];
  /** The driver that the new VM's NIC has: `virtio_net`. */
  driver: string;
}

interface Unpinned {
  operations: Operation[];
  warnings: Warning[];
}

/** One way to configure the network. Pure. */
export interface NetworkBackend {
  name: string;
  /**
   * The physical interfaces that it configures: no loopback, aliases, VLANs, bonds or bridges, but the ports
   * of those.
   */
  interfaces(tree: GuestTree): ConfiguredInterface[];
  /** Conditions on names by which it configures cards without naming them. */
  patterns?(tree: GuestTree): NamePattern[];
  /** What the interfaces that are brought up at boot are configured to have. */
  expects?(tree: GuestTree): NetworkExpectation;
  /** Takes back what holds only on the old hypervisor: its drivers, bus addresses, MACs that no NIC has. */
  unpin?(context: NetworkContext): Unpinned;
  /** Operations that make every interface ask DHCP. A backend without it cannot do `fix.network = "dhcp"`. */
  dhcp?(tree: GuestTree): Operation[];
}

export const NETWORK_FIXER = 'network';

/** Drivers of the network cards that VMware, Hyper-V, VirtualBox and Xen show. */
export const OLD_DRIVER = /^(vmxnet3?|e1000e?|pcnet32|hv_netvsc|xen[_-]netfront)$/;

const VIRTUAL =
  /^(lo|br[-_\d].*|(bond|bridge|team|vlan|virbr|docker|veth|tun|tap|wg|dummy|ppp|wlan|wwan|sit|gre|ib)[\d-].*)$/;

/** Linux' IFNAMSIZ without the byte that ends the name. */
export const MAX_NAME = 15;

/**
 * True for names that stand for a NIC: no alias (`eth0:1`), VLAN (`eth0.10`), pattern or virtual device, and
 * nothing that Linux takes for no name (of more than 15 characters, with a slash or a space).
 */
export function isPhysicalName(name: string): boolean {
  return name.length <= MAX_NAME && /^[A-Za-z][\w-]*$/.test(name) && !VIRTUAL.test(name);
}

/** The NIC under an alias or VLAN by name: `eth0.10` and `eth0:1` → `eth0`. */
export const baseName = (name: string): string => name.replace(/[.:].*$/, '');

/** `00:50:56:AA:bb:cc` or with dashes → lower case with colons; null for anything else. */
export function normaliseMac(text: string | undefined): string | null {
  const mac = text?.trim().replaceAll('-', ':').toLowerCase() ?? '';
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) ? mac : null;
}

/**
 * The addresses in a value such as `10.0.0.5/24, 10.0.0.1` or `["fd00::5/64"]`, without what is valid on any
 * host.
 */
export function addressesIn(text: string): string[] {
  return text.split(/[\s,;"'[\]]+/).flatMap((word) => {
    const address = shortAddress(word.replace(/\/.*$/, ''));
    return address === null || /^(127\.|0\.0\.0\.0$|169\.254\.|fe80:|::1?$)/.test(address) ? [] : [address];
  });
}

/** An address as two texts of it can be compared; null for anything else. */
export function shortAddress(text: string): string | null {
  if (isIP(text) === 4) return text;
  // The URL standard writes IPv6 as RFC 5952 does.
  return isIP(text) === 6 && !text.includes('%') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : null;
}

/** What several files expect together. */
export function mergeExpectations(all: readonly NetworkExpectation[]): NetworkExpectation {
  return {
    addresses: [...new Set(all.flatMap(({ addresses }) => addresses))],
    dhcp: all.some(({ dhcp }) => dhcp),
  };
}

/** One entry a name, in order of first appearance; a known MAC goes before none. */
export function mergeInterfaces(all: readonly ConfiguredInterface[]): ConfiguredInterface[] {
  const merged = new Map<string, ConfiguredInterface>();
  for (const { name, mac } of all) merged.set(name, { name, mac: merged.get(name)?.mac ?? mac });
  return [...merged.values()];
}

/**
 * What to say of `path`, whose `driver` picked some of the VM's cards: on KVM all have one driver. Null where
 * it picked all of them.
 */
export function widened(path: string, driver: string, { cards }: Pick<NetworkContext, 'cards'>): Warning[] {
  if (new Set(cards.map(({ model }) => model)).size < 2) return [];
  const message = `${path} picks network cards by the driver ${driver}, and on KVM all ${cards.length} cards of the VM have one driver: let it match a MAC in the guest`;
  return [{ fixer: NETWORK_FIXER, code: 'network.pinned', message }];
}

/** True for a MAC that the VM's description says no NIC has. */
export function isForeignMac(
  mac: string | null,
  { hardwareMacs }: Pick<NetworkContext, 'hardwareMacs'>,
): boolean {
  return mac !== null && hardwareMacs.length > 0 && !hardwareMacs.includes(mac);
}
