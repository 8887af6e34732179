import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { Nic } from '../../../model/hardware.js';
import type { WindowsIdentity } from '../../../model/identity.js';
import type { PersistentRoute, WindowsInterface } from '../../../model/windows-identity.js';
import type { FirstBootStep, NetworkAction } from './step.js';

/** The program waits for the adapter for 180 s, and Windows needs some time for each of its settings. */
const SECONDS = 900;
const SECONDS_EACH = 6;
/** What Windows allows in the name of a connection. */
const CONNECTION_NAME = /^[^\x00-\x1f\x7f"\\/:*?<>|\t]{1,255}$/;
const DEVICE = /^[\x20-\x7e]{1,200}$/;
const SUFFIX = /^[\p{L}\p{N}._-]{1,255}$/u;

/** Returns a step for each network card that Windows had set up in a way that a new adapter would not have. Pure. */
export function networkSteps(
  { interfaces, routes }: Pick<WindowsIdentity, 'interfaces' | 'routes'>,
  nics: readonly Nic[],
): FirstBootStep[] {
  const steps: FirstBootStep[] = [];
  for (const nic of nics) {
    const mac = nic.mac?.toLowerCase() ?? null;
    const adapter = adapterOf(interfaces, mac);
    if (mac === null || adapter === null || !isConfigured(adapter)) continue;
    const action = networkAction(mac, adapter, routes);
    const settings = action.addresses.length + action.gateways.length + action.dns.length;
    const seconds = Math.max(SECONDS, SECONDS_EACH * settings);
    steps.push({ id: `network-${mac.replaceAll(':', '')}`, seconds, last: false, action });
  }
  return steps;
}

/**
 * Returns the adapters with static addresses whose card is not known, unless every card has its adapter: then
 * they are of cards that the machine had before. Pure.
 */
export function unplacedAdapters(
  interfaces: readonly WindowsInterface[],
  nics: readonly Nic[],
): WindowsInterface[] {
  const macs = nics.map(({ mac }) => mac?.toLowerCase() ?? null);
  if (macs.every((mac) => adapterOf(interfaces, mac) !== null)) return [];
  return interfaces.filter((adapter) => adapter.addresses.length > 0 && !macs.includes(ownMac(adapter)));
}

/** The card's own address counts. Of several adapters that were on one card, one with addresses is taken. */
function adapterOf(interfaces: readonly WindowsInterface[], mac: string | null): WindowsInterface | null {
  const own = interfaces.filter((adapter) => mac !== null && ownMac(adapter) === mac);
  return own.find(({ addresses }) => addresses.length > 0) ?? own[0] ?? null;
}

const ownMac = ({ permanent_mac, mac }: WindowsInterface): string | null => permanent_mac ?? mac;

const isConfigured = ({ addresses, dns, suffix, name }: WindowsInterface): boolean =>
  addresses.length > 0 || dns.length > 0 || suffix !== null || CONNECTION_NAME.test(name);

function networkAction(
  mac: string,
  adapter: WindowsInterface,
  routes: readonly PersistentRoute[],
): NetworkAction {
  return {
    verb: 'network',
    mac,
    name: CONNECTION_NAME.test(adapter.name) ? adapter.name : null,
    ghost: DEVICE.test(adapter.device) ? adapter.device : null,
    addresses: adapter.addresses.filter(({ address }) => isPlain(address)),
    gateways: distinct(adapter.gateways).filter(
      ({ address }) =>
        isIPv4(address) && !routes.some((route) => isDefault(route) && route.gateway === address),
    ),
    dns: [...new Set(adapter.dns.filter(isPlain))],
    suffix: adapter.suffix !== null && SUFFIX.test(adapter.suffix) ? adapter.suffix : null,
  };
}

/** A persistent route belongs to no adapter: Windows keeps it, and its gateway must not be set a second time. */
const isDefault = ({ destination, mask }: PersistentRoute): boolean =>
  destination === '0.0.0.0' && mask === '0.0.0.0';

/** Without a zone (`fe80::1%4`), which is an index on the old machine, and without an IPv4 part in IPv6. */
const isPlain = (address: string): boolean =>
  isIP(address) !== 0 && !(isIPv6(address) && /[%.]/.test(address));

/** Real guests have the same gateway twice. */
function distinct(gateways: WindowsInterface['gateways']): WindowsInterface['gateways'] {
  const seen = new Set<string>();
  return gateways.filter(({ address }) => !seen.has(address) && seen.add(address));
}
