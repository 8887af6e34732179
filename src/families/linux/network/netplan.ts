import { Hyper2kvmError } from '../../../errors/error.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { Warning } from '../../../model/plan.js';
import { filesIn, rewriteFile } from '../../base/edit.js';
import {
  addressesIn,
  type ConfiguredInterface,
  isForeignMac,
  isPhysicalName,
  mergeExpectations,
  NETWORK_FIXER,
  type NetworkBackend,
  type NetworkExpectation,
  normaliseMac,
  OLD_DRIVER,
  widened,
} from './backend.js';
import { type YamlEntry, yamlEntries } from './yaml.js';

/**
 * Takes the old and the new driver alike, but not `lo`, which has none: netplan puts it into a udev rule as it is (`DRIVERS=="…", NAME="ens192"`), and there `*` matches
 * nothing too (netplan 1.1 on Debian 13; with `*` such a guest came up without an address).
 */
const ANY_DRIVER = '"?*"';

const files = (tree: GuestTree) => filesIn(tree, '/etc/netplan', /\.ya?ml$/);

interface Ethernet extends ConfiguredInterface {
  match: { driver?: YamlEntry; macaddress?: YamlEntry; name?: YamlEntry };
}

function ethernets(text: string): Ethernet[] {
  /** Per interface of netplan's: its entries by the keys below it, `match/driver`. */
  const byId = new Map<string, Map<string, YamlEntry>>();
  for (const entry of yamlEntries(text)) {
    const [top, kind, id, ...keys] = entry.path;
    if (top !== 'network' || kind !== 'ethernets' || id === undefined) continue;
    const known = byId.get(id) ?? new Map<string, YamlEntry>();
    byId.set(id, known.set(keys.join('/'), entry));
  }
  return [...byId].map(([id, at]) => {
    const [driver, macaddress, name] = ['driver', 'macaddress', 'name'].map((key) => at.get(`match/${key}`));
    const hasMatch = at.has('match');
    // With `match:` the key is a label; the name is what set-name gives, or what is matched by name.
    const own = at.get('set-name')?.value ?? (hasMatch ? (name?.value ?? '') : id);
    const match = {
      ...(driver === undefined ? {} : { driver }),
      ...(macaddress === undefined ? {} : { macaddress }),
      ...(name === undefined ? {} : { name }),
    };
    return { name: own, mac: normaliseMac(macaddress?.value), match };
  });
}

export const netplan: NetworkBackend = {
  name: 'netplan',
  interfaces: (tree) =>
    files(tree)
      .flatMap((path) => ethernets(tree.text(path)?.text ?? ''))
      .filter(({ name }) => isPhysicalName(name))
      .map(({ name, mac }) => ({ name, mac })),
  expects: (tree) => mergeExpectations(files(tree).map((path) => expectationOf(tree.text(path)?.text ?? ''))),
  unpin(context) {
    const warnings: Warning[] = [];
    const reason = 'it matches only a network card of the old hypervisor';
    const operations = files(context.tree).flatMap((path) =>
      rewriteFile(context.tree, path, { fixer: NETWORK_FIXER, reason }, (text) => {
        const lines: (string | null)[] = text.split('\n');
        const all = ethernets(text);
        for (const { match } of all) {
          if (match.macaddress !== undefined && isForeignMac(normaliseMac(match.macaddress.value), context)) {
            const message = `${path} matches MAC ${match.macaddress.value}, which no NIC of the VM has: edit it in the guest`;
            warnings.push({ fixer: NETWORK_FIXER, code: 'network.foreign-mac', message });
          }
          if (match.driver === undefined || !OLD_DRIVER.test(match.driver.value)) continue;
          const { line, columns } = match.driver;
          const isNeeded = match.macaddress === undefined && match.name === undefined;
          if (isNeeded) warnings.push(...widened(path, match.driver.value, context));
          // With several interfaces a pattern would take them all.
          const driver = all.length === 1 ? ANY_DRIVER : context.driver;
          if (columns !== null) {
            const raw = lines[line] ?? '';
            // Between braces an entry is not taken out but made to match anything.
            lines[line] =
              `${raw.slice(0, columns[0])}${isNeeded ? driver : ANY_DRIVER}${raw.slice(columns[1])}`;
            continue;
          }
          lines[line] = isNeeded ? (lines[line] ?? '').replace(/(driver["']?:\s*).*$/, `$1${driver}`) : null;
        }
        return lines.filter((line) => line !== null).join('\n');
      }),
    );
    return { operations, warnings };
  },
  dhcp: (tree) =>
    files(tree).flatMap((path) =>
      rewriteFile(tree, path, { fixer: NETWORK_FIXER, reason: 'fix.network = "dhcp"' }, (text) =>
        useDhcp(text, path),
      ),
    ),
};

/**
 * Of every device but wireless ones and modems: `network: {ethernets: {id: {addresses: […], dhcp4: true}}}`.
 */
function expectationOf(text: string): NetworkExpectation {
  const lines = text.split('\n');
  const found: NetworkExpectation = { addresses: [], dhcp: false };
  for (const { path, value, line, indent } of yamlEntries(text)) {
    const [top, kind = '', , key, ...below] = path;
    if (top !== 'network' || below.length > 0 || /^(wifis|modems|tunnels)$/.test(kind)) continue;
    if (key === 'dhcp4') found.dhcp ||= /^(true|yes|on|y)$/i.test(value);
    if (key !== 'addresses') continue;
    found.addresses.push(...addressesIn(value));
    for (let next = line + 1; isBelow(lines[next] ?? null, indent); next += 1)
      found.addresses.push(...addressesIn((lines[next] ?? '').replace(/^\s*-\s*|:\s*$/g, '')));
  }
  return found;
}

const STATIC_KEYS = ['addresses', 'gateway4', 'gateway6', 'nameservers', 'routes', 'dhcp4', 'dhcp6'];

/** Every device that has addresses of its own asks DHCP instead: a port of a bond or bridge has none and stays. */
function useDhcp(text: string, path: string): string {
  const entries = yamlEntries(text).filter(({ path: keys }) => keys[0] === 'network' && keys.length === 4);
  const fixed = entries.filter(({ path: keys }) => keys[3] === 'addresses').map(({ path: keys }) => keys[2]);
  const own = entries.filter(
    ({ path: keys }) => fixed.includes(keys[2]) && STATIC_KEYS.includes(keys[3] ?? ''),
  );
  if (own.some(({ columns }) => columns !== null))
    throw new Hyper2kvmError(
      'plan.network-dhcp',
      `${path} has its addresses in flow style, which is not rewritten`,
      {
        advice: 'Convert with fix.network = "keep" and change the addresses in the guest.',
      },
    );
  const lines: (string | null)[] = text.split('\n');
  for (const { path: keys, line, indent } of own) {
    lines[line] = keys[3] === 'addresses' ? `${' '.repeat(indent)}dhcp4: true` : null;
    for (let next = line + 1; isBelow(lines[next] ?? null, indent); next += 1) lines[next] = null;
  }
  return lines.filter((line) => line !== null).join('\n');
}

/** A sequence may stand at its key's own indent. */
function isBelow(line: string | null, indent: number): boolean {
  const own = /^( *)(\S)/.exec(line ?? '');
  if (own === null) return false;
  const [, blanks = '', first] = own;
  return blanks.length > indent || (blanks.length === indent && first === '-');
}
