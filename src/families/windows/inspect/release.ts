import type { Hive } from '../../../guest/registry/hive.js';
import type { WindowsIdentity } from '../../../model/identity.js';

type Release = Pick<
  WindowsIdentity,
  'os_distro' | 'os_version' | 'os_name' | 'build' | 'edition' | 'installation_type'
>;

/** First builds of each release, newest first. A build between two belongs to the earlier one. */
const CLIENTS: readonly (readonly [build: number, version: string])[] = [
  [22_000, '11'],
  [10_240, '10'],
  [9_600, '8.1'],
  [9_200, '8'],
  [7_600, '7'],
  [6_000, 'Vista'],
  [2_600, 'XP'],
  [2_195, '2000'],
];
const SERVERS: readonly (readonly [build: number, version: string])[] = [
  [26_100, '2025'],
  [20_348, '2022'],
  [17_763, '2019'],
  [14_393, '2016'],
  [9_600, '2012 R2'],
  [9_200, '2012'],
  [7_600, '2008 R2'],
  [6_001, '2008'],
  [3_790, '2003'],
  [2_195, '2000'],
];

/**
 * Returns which Windows it is. The build and the kind of installation decide: the product's name is not
 * changed by an upgrade to Windows 11. Pure.
 */
export function releaseOf(software: Hive, system: Hive, controlSet: string): Release {
  const current = software.key('Microsoft\\Windows NT\\CurrentVersion');
  const text = (name: string) => current?.text(name)?.trim() ?? '';
  const build = buildNumber(text('CurrentBuildNumber')) || buildNumber(text('CurrentBuild'));
  const product = system.key(`${controlSet}\\Control\\ProductOptions`)?.text('ProductType') ?? 'WinNT';
  // Before Vista, only the kind of product tells a server.
  const installation = text('InstallationType') || (product === 'WinNT' ? 'Client' : 'Server');
  const isServer = /server/i.test(installation);
  const version = (isServer ? SERVERS : CLIENTS).find(([first]) => build >= first)?.[1] ?? 'unknown';
  return {
    os_distro: 'windows',
    os_version: version,
    os_name: productName(text('ProductName'), version),
    build,
    edition: text('EditionID'),
    installation_type: installation,
  };
}

const buildNumber = (text: string): number => (/^\d{1,6}$/.test(text) ? Number(text) : 0);

/** Windows 11 says that it is Windows 10. */
function productName(name: string, version: string): string {
  if (version === '11') return name.replace(/^Windows 10\b/, 'Windows 11');
  return name === '' ? `Windows ${version}` : name;
}
