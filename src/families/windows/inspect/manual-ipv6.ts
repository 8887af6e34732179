import { SocketAddress } from 'node:net';
import type { RegistryKey } from '../../../guest/registry/hive.js';
import type { WindowsInterface } from '../../../model/windows-identity.js';

/** The store of IPv6's module in the network store interface; 10 is its table of unicast addresses. */
const ADDRESSES = 'Nsi\\{eb004a01-9b1a-11d4-9123-0050047759bc}\\10';
/** NET_LUID and address. */
const NAME = /^([0-9a-f]{16})([0-9a-f]{32})$/i;
const PREFIX_AT = 16;
const MAX_ADDRESSES = 4096;

type Addresses = WindowsInterface['addresses'];

/**
 * Returns a function that gives an adapter's manual IPv6 addresses. They are in no key of Tcpip6; the place
 * and the form are from public code, and no hive that has some was at hand. Pure.
 */
export function manualIpv6(
  control: RegistryKey | null,
): (driver: RegistryKey | null, kernel: RegistryKey | null) => Addresses {
  const byLuid = new Map<string, Addresses>();
  let count = 0;
  for (const { name, data } of control?.key(ADDRESSES)?.values() ?? []) {
    const [, luid, digits] = NAME.exec(name) ?? [];
    const prefix = data.at(PREFIX_AT);
    if (luid === undefined || digits === undefined || prefix === undefined || prefix > 128) continue;
    if (++count > MAX_ADDRESSES) break;
    const known = byLuid.get(luid.toLowerCase()) ?? [];
    byLuid.set(luid.toLowerCase(), [...known, { address: shortest(digits), prefix }]);
  }
  return (driver, kernel) => {
    const index = kernel?.number('NetLuidIndex') ?? driver?.number('NetLuidIndex') ?? null;
    const type = kernel?.number('IfType') ?? driver?.number('*IfType') ?? null;
    return index === null || type === null ? [] : (byLuid.get(luidOf(index, type)) ?? []);
  };
}

/** NET_LUID, little-endian: 24 reserved bits, 24 of the index, 16 of the type. */
function luidOf(index: number, type: number): string {
  const luid = Buffer.alloc(8);
  luid.writeUIntLE(index & 0xff_ffff, 3, 3);
  luid.writeUInt16LE(type & 0xffff, 6);
  return luid.toString('hex');
}

const shortest = (digits: string): string =>
  new SocketAddress({ address: digits.match(/.{4}/g)?.join(':') ?? '', family: 'ipv6' }).address;
