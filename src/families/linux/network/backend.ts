import { isIP } from 'node:net';
import type { GuestTree } from '../../../guest/tree.js';
import type { Warning } from '../../../model/plan.js';
import type { Operation } from '../../../operations/registry.js';
import type { NetworkExpectation } from '../../base/family.js';
import type { NamePattern } from './patterns.js';

/**
 * An interface as one file of the guest describes it. `mac` is the card's own, in lower case, if the file
 * ties one to the name.
 */
export interface ConfiguredInterface {
  name: string;
  mac: string | null;
}

/** A network card of the VM, from its own description. */
export interface Card {
  /** In lower case. */
  mac: string | null;
  /** VMware's slot number; null if unknown. */
  slot: number | null;
  /** The slot that VMware would assign; null if the real one is known. */
  likelySlot: number | null;
  /** `vmxnet3`, in lower case; null if unknown. */
  model: string | null;
}

export interface NetworkContext {
  tree: GuestTree;
  /** In the description's order; empty without a description. */
  cards: readonly Card[];
  /** MACs of the VM's NICs from its own description, in lower case; empty without one. */
  hardwareMacs: readonly string[];
  /** All physical interfaces that the guest configures, with the MACs they were bound to. */
  interfaces: readonly ConfiguredInterface[];
  /** The driver of the new VM's NICs: `virtio_net`. */
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
   * Returns the physical interfaces that it configures: no loopback, aliases, VLANs, bonds or bridges, but
   * the ports of those.
   */
  interfaces(tree: GuestTree): ConfiguredInterface[];
  /** Returns the patterns by which it selects cards without naming them. */
  patterns?(tree: GuestTree): NamePattern[];
  /** Returns the addresses configured on the interfaces that are brought up at boot. */
  expects?(tree: GuestTree): NetworkExpectation;
  /**
   * Removes what matches only on the old hypervisor: its drivers, bus addresses, and MACs that no NIC has.
   */
  unpin?(context: NetworkContext): Unpinned;
  /**
   * Returns the operations that switch every interface to DHCP. A backend without it does not support
   * `fix.network = "dhcp"`.
   */
  dhcp?(tree: GuestTree): Operation[];
}

export const NETWORK_FIXER = 'network';

/** Drivers of the network cards that VMware, Hyper-V, VirtualBox and Xen provide. */
export const OLD_DRIVER = /^(vmxnet3?|e1000e?|pcnet32|hv_netvsc|xen[_-]netfront)$/;

const VIRTUAL =
  /^(lo|br[-_\d].*|(bond|bridge|team|vlan|virbr|docker|veth|tun|tap|wg|dummy|ppp|wlan|wwan|sit|gre|ib)[\d-].*)$/;

/** IFNAMSIZ of Linux, without the terminating byte. */
export const MAX_NAME = 15;

/**
 * True for a name that can be a NIC's: no alias (`eth0:1`), VLAN (`eth0.10`), pattern or virtual device, and
 * valid on Linux (at most 15 characters, no slash, no space).
 */
export function isPhysicalName(name: string): boolean {
  return name.length <= MAX_NAME && /^[A-Za-z][\w-]*$/.test(name) && !VIRTUAL.test(name);
}

/** Returns the name of the NIC below an alias or VLAN: `eth0.10` and `eth0:1` → `eth0`. */
export const baseName = (name: string): string => name.replace(/[.:].*$/, '');

/** `00:50:56:AA:bb:cc`, also with dashes → lower case with colons; null for anything else. */
export function normaliseMac(text: string | undefined): string | null {
  const mac = text?.trim().replaceAll('-', ':').toLowerCase() ?? '';
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) ? mac : null;
}

/**
 * Returns the addresses in a value such as `10.0.0.5/24, 10.0.0.1` or `["fd00::5/64"]`, without loopback and
 * link-local ones.
 */
export function addressesIn(text: string): string[] {
  return text.split(/[\s,;"'[\]]+/).flatMap((word) => {
    const address = shortAddress(word.replace(/\/.*$/, ''));
    return address === null || /^(127\.|0\.0\.0\.0$|169\.254\.|fe80:|::1?$)/.test(address) ? [] : [address];
  });
}

/** Returns an address in its one comparable form; null for anything else. */
export function shortAddress(text: string): string | null {
  if (isIP(text) === 4) return text;
  // The URL standard formats IPv6 like RFC 5952.
  return isIP(text) === 6 && !text.includes('%') ? new URL(`http://[${text}]`).hostname.slice(1, -1) : null;
}

/** Merges the expectations of several files. */
export function mergeExpectations(all: readonly NetworkExpectation[]): NetworkExpectation {
  return {
    addresses: [...new Set(all.flatMap(({ addresses }) => addresses))],
    dhcp: all.some(({ dhcp }) => dhcp),
  };
}

/** Merges interfaces to one entry for each name, in order of first appearance; an entry with a MAC wins. */
export function mergeInterfaces(all: readonly ConfiguredInterface[]): ConfiguredInterface[] {
  const merged = new Map<string, ConfiguredInterface>();
  for (const { name, mac } of all) merged.set(name, { name, mac: merged.get(name)?.mac ?? mac });
  return [...merged.values()];
}

/**
 * Returns a warning if the `driver` in `path` selected only some of the VM's cards: on KVM all have the same
 * driver.
 */
export function widened(path: string, driver: string, { cards }: Pick<NetworkContext, 'cards'>): Warning[] {
  if (new Set(cards.map(({ model }) => model)).size < 2) return [];
  const message = `${path} selects network cards by the driver ${driver}, and on KVM all ${cards.length} cards of the VM have the same driver: make it match a MAC in the guest`;
  return [{ fixer: NETWORK_FIXER, code: 'network.pinned', message }];
}

/** True for a MAC that no NIC in the VM's description has. */
export function isForeignMac(
  mac: string | null,
  { hardwareMacs }: Pick<NetworkContext, 'hardwareMacs'>,
): boolean {
  return mac !== null && hardwareMacs.length > 0 && !hardwareMacs.includes(mac);
}
