import { isIPv4 } from 'node:net';
import type { Hive, RegistryKey } from '../../../guest/registry/hive.js';
import { upperCase } from '../../../guest/registry/names.js';
import type { Nic } from '../../../model/hardware.js';
import type { PersistentRoute, WindowsInterface } from '../../../model/windows-identity.js';
import { adapterMac } from './adapter-mac.js';
import { manualIpv6 } from './manual-ipv6.js';
import { NETWORK_CLASS } from './what-to-capture.js';

/** Enumerators of adapters that Windows has of itself, or made of others. */
const VIRTUAL = new Set(['ROOT', 'SWD', 'BTH', 'BTHENUM', 'COMPOSITEBUS', 'SW', 'UMB']);
/** No real guest has more, ghosts of old hardware included. */
const MAX_ADAPTERS = 512;

/** Returns the network adapters, by GUID, with how they are configured. Pure. */
export function readAdapters(system: Hive, controlSet: string, nics: readonly Nic[]): WindowsInterface[] {
  const control = system.key(`${controlSet}\\Control`);
  const drivers = driversByGuid(control);
  const interfaces = system.key(`${controlSet}\\Services\\Tcpip\\Parameters\\Interfaces`);
  const ipv6 = manualIpv6(control);
  const adapters: WindowsInterface[] = [];
  for (const network of take(control?.key(`Network\\${NETWORK_CLASS}`), MAX_ADAPTERS)) {
    const connection = network.key('Connection');
    const device = connection?.text('PnpInstanceID') ?? '';
    const guid = upperCase(network.name);
    if (connection == null || device === '' || VIRTUAL.has(upperCase(device.split('\\')[0] ?? ''))) continue;
    const driver = drivers.get(guid) ?? null;
    const kernel = control?.key(`NetworkSetup2\\Interfaces\\${guid}\\Kernel`) ?? null;
    const { addresses, ...rest } = configuration(interfaces?.key(guid) ?? null);
    adapters.push({
      guid,
      name: connection.text('Name') ?? '',
      device,
      ...adapterMac({ device, driver, kernel }, nics),
      ...rest,
      addresses: [...addresses, ...ipv6(driver, kernel)],
    });
  }
  return pairLast(adapters, nics).sort((a, b) => (a.guid < b.guid ? -1 : 1));
}

/** `Control\Class\{…}\NNNN` by the GUID of its connection. */
function driversByGuid(control: RegistryKey | null): Map<string, RegistryKey> {
  const drivers = new Map<string, RegistryKey>();
  for (const driver of take(control?.key(`Class\\${NETWORK_CLASS}`), MAX_ADAPTERS)) {
    const guid = driver.text('NetCfgInstanceId');
    if (guid !== null) drivers.set(upperCase(guid), driver);
  }
  return drivers;
}

type Configuration = Pick<WindowsInterface, 'dhcp' | 'addresses' | 'gateways' | 'dns' | 'suffix'>;

/** Static addresses count only without DHCP: Windows leaves old ones behind. */
function configuration(key: RegistryKey | null): Configuration {
  const dhcp = key?.number('EnableDHCP') !== 0;
  const suffix = key?.text('Domain')?.trim() || null;
  const dns = (key?.text('NameServer') ?? '').split(/[\s,]+/).filter((server) => server !== '');
  if (key === null || dhcp) return { dhcp: true, addresses: [], gateways: [], dns, suffix };
  const masks = key.texts('SubnetMask') ?? [];
  const metrics = key.texts('DefaultGatewayMetric') ?? [];
  return {
    dhcp,
    addresses: (key.texts('IPAddress') ?? []).flatMap((address, index) => {
      const prefix = prefixOf(masks[index] ?? '');
      return isIPv4(address) && address !== '0.0.0.0' && prefix !== null ? [{ address, prefix }] : [];
    }),
    gateways: (key.texts('DefaultGateway') ?? []).flatMap((address, index) =>
      isIPv4(address) ? [{ address, metric: metricOf(metrics[index] ?? '') }] : [],
    ),
    dns,
    suffix,
  };
}

/** Windows' "automatic" is 0. */
function metricOf(text: string): number | null {
  return /^[1-9]\d{0,4}$/.test(text) ? Number(text) : null;
}

/** Returns the bits of a mask; null if they are not the first ones. */
function prefixOf(mask: string): number | null {
  if (!isIPv4(mask)) return null;
  const bits = mask
    .split('.')
    .map((byte) => Number(byte).toString(2).padStart(8, '0'))
    .join('');
  return /^1*0*$/.test(bits) ? bits.lastIndexOf('1') + 1 : null;
}

/** An adapter of unknown address that is the only static one gets the only card that is left. */
function pairLast(adapters: readonly WindowsInterface[], nics: readonly Nic[]): WindowsInterface[] {
  const known = new Set(adapters.flatMap(({ mac, permanent_mac }) => [mac, permanent_mac]));
  const cards = nics.flatMap(({ mac }) => (mac === null || known.has(mac.toLowerCase()) ? [] : [mac]));
  const open = adapters.filter(({ mac, dhcp }) => mac === null && !dhcp);
  const [mac, ...others] = cards;
  if (mac === undefined || others.length > 0 || open.length !== 1) return [...adapters];
  return adapters.map((adapter) =>
    adapter === open[0] ? { ...adapter, mac: mac.toLowerCase(), mac_source: 'only-one' } : adapter,
  );
}

const MAX_ROUTES = 4096;

/** Returns the routes that stay after a restart, in the order of the hive. Pure. */
export function readRoutes(system: Hive, controlSet: string): PersistentRoute[] {
  const key = system.key(`${controlSet}\\Services\\Tcpip\\Parameters\\PersistentRoutes`);
  const routes: PersistentRoute[] = [];
  for (const { name } of key?.values() ?? []) {
    const [destination = '', mask = '', gateway = '', metric = ''] = name.split(',');
    if (![destination, mask, gateway].every(isIPv4) || routes.length === MAX_ROUTES) continue;
    routes.push({ destination, mask, gateway, metric: metricOf(metric) });
  }
  return routes;
}

/** Yields the first subkeys. */
function* take(key: RegistryKey | null | undefined, most: number): Generator<RegistryKey> {
  let count = 0;
  for (const child of key?.subkeys() ?? []) {
    if (++count > most) return;
    yield child;
  }
}
