import { capturedText, capturedValue } from '../../guest/registry/captured.js';
import { upperCase } from '../../guest/registry/names.js';
import { cardAddress, machineNics, madeMac } from '../../machine/nics.js';
import type { Nic } from '../../model/hardware.js';
import type { PlannedNic } from '../../model/plan.js';
import type { WindowsInterface } from '../../model/windows-identity.js';
import { NETWORK_CLASS } from './inspect/what-to-capture.js';
import { controlSetOf, hiveOf, subkeysOf, type WindowsGuest } from './registry-edits.js';

/** The network cards of the new VM, and the adapters of Windows that they take the place of. */
export interface Cards {
  /** For the plan. */
  planned: PlannedNic[];
  /** The VM's cards, as its definition has them. */
  nics: readonly Nic[];
  /** All adapters; one whose card follows from the others has its address. */
  interfaces: WindowsInterface[];
}

/** Returns the VM's cards and whose they are. Pure. */
export function cardsOf(guest: WindowsGuest): Cards {
  const planned = knownNics(guest);
  const nics = machineNics(guest.vm, guest.hardware, { nics: planned });
  return { planned, nics, interfaces: withLastCard(guest, nics) };
}

/**
 * Returns the adapters whose card's address is known, each address once. Windows keeps removed adapters, too: those
 * of the VM's description go first, then those with static addresses, and there are no more than the description has.
 */
function knownNics(guest: WindowsGuest): PlannedNic[] {
  const { hardware, vm } = guest;
  const described = new Set(hardware.nics.map(({ mac }) => cardAddress(mac)));
  const order = (adapter: WindowsInterface) =>
    described.has(ownMac(adapter)) ? 0 : adapter.addresses.length > 0 ? 1 : 2;
  const adapters = installed(guest).toSorted((a, b) => order(a) - order(b));
  const byMac = new Map<string, PlannedNic>();
  for (const adapter of adapters) {
    const mac = ownMac(adapter);
    if (mac !== null && !byMac.has(mac)) byMac.set(mac, { name: adapter.name, mac });
  }
  const known = [...byMac.values()];
  if (hardware.nics.length > 0) return known.slice(0, hardware.nics.length);
  const [only, ...others] = adapters.filter(isOpen);
  // Without a description a card of unknown address gets one of ours, so that the first boot finds it.
  return only === undefined || others.length > 0
    ? known
    : [...known, { name: only.name, mac: madeMac(vm, known.length) }];
}

/** The adapters with a driver; all where the registry has none at all. */
function installed(guest: WindowsGuest): WindowsInterface[] {
  const system = hiveOf(guest, 'SYSTEM');
  const drivers = subkeysOf(system, `${controlSetOf(guest)}\\Control\\Class\\${NETWORK_CLASS}`);
  const guids = new Set(
    drivers.map(({ path }) => upperCase(capturedText(capturedValue(system, path, 'NetCfgInstanceId')) ?? '')),
  );
  guids.delete('');
  const { interfaces } = guest.identity;
  return guids.size === 0 ? interfaces : interfaces.filter(({ guid }) => guids.has(upperCase(guid)));
}

/** The only static adapter of unknown address has the only card that is no other adapter's. */
function withLastCard(guest: WindowsGuest, nics: readonly Nic[]): WindowsInterface[] {
  const { interfaces } = guest.identity;
  const known = new Set(interfaces.map(ownMac));
  const [mac, ...otherCards] = nics
    .map((nic) => nic.mac?.toLowerCase() ?? null)
    .filter((one) => !known.has(one));
  const [only, ...others] = installed(guest).filter(isOpen);
  if (mac == null || otherCards.length > 0 || others.length > 0) return [...interfaces];
  return interfaces.map((adapter) =>
    adapter === only ? { ...adapter, mac, mac_source: 'only-one' } : adapter,
  );
}

/** An address that is set by hand does not come from the card. */
const ownMac = ({ permanent_mac, mac }: WindowsInterface): string | null => permanent_mac ?? mac;

const isOpen = (adapter: WindowsInterface): boolean =>
  ownMac(adapter) === null && adapter.addresses.length > 0;
