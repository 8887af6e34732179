import type { GuestTree } from '../../../guest/tree.js';
import { mapLines, shortLines } from '../../../text/lines.js';
import { filesIn, rewriteFile } from '../../base/edit.js';
import {
  addressesIn,
  baseName,
  isPhysicalName,
  mergeExpectations,
  NETWORK_FIXER,
  type NetworkBackend,
} from './backend.js';

/** Returns the main file of interfaces(5) and those that it includes by convention. */
function configurationFiles(tree: GuestTree): string[] {
  return ['/etc/network/interfaces', ...filesIn(tree, '/etc/network/interfaces.d', /^[\w.-]+$/)];
}

const AT_BOOT = /^(auto|allow-hotplug|allow-auto)$/;

/** Names come without MACs: `hwaddress` sets a NIC's address and does not tell which one the card has. */
export const ifupdown: NetworkBackend = {
  name: 'ifupdown',
  interfaces(tree) {
    const text = configurationFiles(tree)
      .map((path) => tree.text(path)?.text ?? '')
      .join('\n');
    const names: string[] = [];
    for (const line of text.split('\n')) {
      const [word = '', ...rest] = line.trim().split(/\s+/);
      if (word === 'iface') names.push(baseName(rest[0] ?? ''));
      // Ports of bonds and bridges need no stanza.
      if (/^(bond[-_])?slaves$|^bridge[-_]ports$|^vlan[-_]raw[-_]device$/.test(word))
        names.push(...rest.map(baseName));
    }
    const own = new Set(bondsAndBridges(text));
    return [...new Set(names)]
      .filter((name) => isPhysicalName(name) && !own.has(name) && name !== 'none')
      .map((name) => ({ name, mac: null }));
  },
  expects(tree) {
    const text = configurationFiles(tree)
      .map((path) => tree.text(path)?.text ?? '')
      .join('\n');
    const lines = shortLines(text).map((line) => line.trim().split(/\s+/));
    const atBoot = new Set(lines.flatMap(([word = '', ...names]) => (AT_BOOT.test(word) ? names : [])));
    const found = { addresses: [] as string[], dhcp: false };
    let method = '';
    for (const [word = '', name = '', , kind = ''] of lines) {
      if (/^(iface|auto|mapping|source\S*|allow-\S+)$/.test(word))
        method = word === 'iface' && atBoot.has(name) ? kind : '';
      if (word === 'iface' && method === 'dhcp') found.dhcp = true;
      if (word === 'address' && method === 'static') found.addresses.push(...addressesIn(name));
    }
    return mergeExpectations([found]);
  },
  dhcp: (tree) =>
    configurationFiles(tree).flatMap((path) =>
      rewriteFile(tree, path, { fixer: NETWORK_FIXER, reason: 'fix.network = "dhcp"' }, useDhcp),
    ),
};

/** Returns the names of stanzas that create a virtual device, whatever its name looks like. */
function bondsAndBridges(text: string): string[] {
  return text
    .split(/(?=^[ \t]*iface\s)/m)
    .filter((stanza) =>
      /^[ \t]*(bond[-_](mode|slaves)|bridge[-_]ports|slaves|vlan[-_]raw[-_]device)\s/m.test(stanza),
    )
    .flatMap((stanza) => /^\s*iface\s+(\S+)/.exec(stanza)?.[1] ?? []);
}

const STATIC_OPTION = /^\s*(address|netmask|gateway|network|broadcast|pointopoint|dns-\S+)\s/;

function useDhcp(text: string): string {
  let isStatic = false;
  const lines = mapLines(text, (line) => {
    if (/^\s*(iface|auto|allow-\S+|mapping|source\S*)\s/.test(line))
      isStatic = /^\s*iface\s+\S+\s+inet\s+static\b/.test(line);
    if (isStatic && STATIC_OPTION.test(line)) return '\0';
    return isStatic ? line.replace(/(\sinet\s+)static\b/, '$1dhcp') : line;
  });
  return lines.replace(/\0\n?/g, '');
}
