import { isAlias } from 'yaml';
import { Hyper2kvmError } from '../../../errors/error.js';
import type { GuestTree } from '../../../guest/tree.js';
import type { Warning } from '../../../model/plan.js';
import { filesIn, rewriteFile } from '../../base/edit.js';
import type { NetworkExpectation } from '../../base/family.js';
import {
  addressesIn,
  type ConfiguredInterface,
  isForeignMac,
  isPhysicalName,
  mergeExpectations,
  NETWORK_FIXER,
  type NetworkBackend,
  type NetworkContext,
  normaliseMac,
  OLD_DRIVER,
  widened,
} from './backend.js';
import { isGlob, matchesGlob } from './patterns.js';
import { readYaml, type YamlEntry, type YamlFile } from './yaml.js';
import { applyEdits, type Change, type Edit, replaceEntries, setValue } from './yaml-edit.js';

/**
 * A pattern that matches the old and the new driver, but not `lo`, which has none. netplan writes it into a
 * udev rule (`DRIVERS=="…", NAME="ens192"`), where `*` would match `lo` as well: with it, a guest with
 * netplan 1.1 on Debian 13 came up without an address.
 */
const ANY_DRIVER = '"?*"';

const files = (tree: GuestTree) => filesIn(tree, '/etc/netplan', /\.ya?ml$/);

interface Ethernet extends ConfiguredInterface {
  match: { driver: YamlEntry[]; macaddress: string | null; addresses: YamlEntry[]; name: string | null };
  isRenamed: boolean;
}

/**
 * Returns the interfaces of a file. Netplan merges an interface that is written twice, and the last value of
 * a key wins.
 */
function ethernets(file: YamlFile): Ethernet[] {
  const byId = Map.groupBy(file.entries('network', 'ethernets', null), ({ key }) => key);
  return [...byId].map(([id, entries]) => {
    const at = (...path: string[]) => entries.flatMap(({ value }) => file.below(value, ...path));
    const textAt = (...path: string[]) => file.texts(at(...path).at(-1)?.value ?? null)[0] ?? null;
    const [macaddress, name] = [textAt('match', 'macaddress'), textAt('match', 'name')];
    const hasMatch = at('match').length > 0;
    return {
      // With `match:` the key is only a label; the name is that of set-name, or the one that is matched.
      name: textAt('set-name') ?? (hasMatch ? (name ?? '') : id),
      mac: normaliseMac(macaddress ?? undefined),
      match: { driver: at('match', 'driver'), macaddress, addresses: at('match', 'macaddress'), name },
      isRenamed: textAt('set-name') !== null,
    };
  });
}

const hasPattern = (text: string) => text.includes('name') && isGlob(text);
const read = (tree: GuestTree, path: string) => readYaml(tree.text(path)?.text ?? '');

export const netplan: NetworkBackend = {
  name: 'netplan',
  interfaces: (tree) =>
    files(tree)
      .flatMap((path) => ethernets(read(tree, path)))
      .filter(({ name }) => isPhysicalName(name))
      .map(({ name, mac }) => ({ name, mac })),
  patterns: (tree) =>
    files(tree)
      // Parsing a hostile text costs a second.
      .filter((path) => hasPattern(tree.text(path)?.text ?? ''))
      .flatMap((path) =>
        ethernets(read(tree, path)).flatMap(({ match: { name, macaddress }, isRenamed }) => {
          if (name === null || !isGlob(name) || macaddress !== null || isRenamed) return [];
          return [{ path, text: name, accepts: (candidate: string) => matchesGlob(name, candidate) }];
        }),
      ),
  expects: (tree) => mergeExpectations(files(tree).map((path) => expectationOf(read(tree, path)))),
  unpin(context) {
    const warnings: Warning[] = [];
    const reason = 'it matches only a network card of the old hypervisor';
    const operations = files(context.tree).flatMap((path) =>
      rewriteFile(context.tree, path, { fixer: NETWORK_FIXER, reason }, (text) => {
        const unpinned = unpinFile(path, readYaml(text), context);
        warnings.push(...unpinned.warnings);
        return unpinned.text;
      }),
    );
    return { operations, warnings };
  },
  dhcp: (tree) =>
    files(tree).flatMap((path) =>
      rewriteFile(tree, path, { fixer: NETWORK_FIXER, reason: 'fix.network = "dhcp"' }, (text) =>
        useDhcp(path, readYaml(text)),
      ),
    ),
};

function unpinFile(
  path: string,
  file: YamlFile,
  context: NetworkContext,
): { text: string; warnings: Warning[] } {
  const warn = (code: string, message: string): Warning => ({ fixer: NETWORK_FIXER, code, message });
  const unchanged = (problem: string) => {
    const message = `${path} was not changed: ${problem}. Check in the guest which network cards it matches.`;
    return { text: file.text, warnings: [warn('network.unreadable', message)] };
  };
  if (file.problem !== null) return unchanged(file.problem);
  const warnings: Warning[] = [];
  const edits: Edit[] = [];
  // An alias leads to the same entry again.
  const seen = new Set<YamlEntry['pair']>();
  const all = ethernets(file);
  for (const { name, mac, match } of all) {
    if (isForeignMac(mac, context)) {
      const own = macInstead(name, all.length, context);
      const what = own === null ? 'edit it in the guest' : `it was replaced by ${own}`;
      const message = `${path} matches MAC ${match.macaddress}, which no NIC of the VM has: ${what}`;
      warnings.push(warn('network.foreign-mac', message));
      const entries = own === null ? [] : match.addresses.filter(({ pair }) => !seen.has(pair));
      for (const entry of entries) {
        seen.add(entry.pair);
        edits.push(setValue(file.text, entry, `"${own}"`));
      }
    }
    const isNeeded = match.macaddress === null && match.name === null;
    for (const entry of match.driver) {
      if (seen.has(entry.pair)) continue;
      seen.add(entry.pair);
      const drivers = file.texts(entry.value);
      if (!drivers.some((driver) => OLD_DRIVER.test(driver)) || drivers.includes(context.driver)) continue;
      if (isNeeded) warnings.push(...widened(path, drivers.join(', '), context));
      // With several interfaces a pattern would match all of them.
      const driver = isNeeded && all.length > 1 ? context.driver : ANY_DRIVER;
      const removal =
        isNeeded || match.driver.length > 1 || !isRemovable(entry)
          ? null
          : replaceEntries(file.text, [{ entry, replacement: null }]);
      edits.push(...(removal ?? [setValue(file.text, entry, driver)]));
    }
  }
  const text = applyEdits(file.text, edits);
  const { problem } = readYaml(text);
  return problem === null ? { text, warnings } : unchanged(`without its driver ${problem}`);
}

/** Returns the MAC of the card that has the name, or of the only card; null if unknown. */
function macInstead(name: string, count: number, { interfaces, cards }: NetworkContext): string | null {
  const only = count === 1 && cards.length === 1 ? cards[0] : undefined;
  return interfaces.find((candidate) => candidate.name === name)?.mac ?? only?.mac ?? null;
}

/**
 * Whether an entry can be removed. In braces it is changed to match anything instead; an anchor may be used
 * elsewhere; an empty `match:` is an error.
 */
function isRemovable({ pair: { value }, mapping }: YamlEntry): boolean {
  const isAnchored = value !== null && !isAlias(value) && value.anchor !== undefined;
  return mapping.flow !== true && mapping.items.length > 1 && !isAnchored;
}

/**
 * Returns what all devices but wireless ones, modems and tunnels are configured to have: `network:
 * {ethernets: {id: {addresses: […], dhcp4: true}}}`.
 */
function expectationOf(file: YamlFile): NetworkExpectation {
  const kinds = file.entries('network', null).filter(({ key }) => !/^(wifis|modems|tunnels)$/.test(key));
  const valuesOf = (key: string) =>
    kinds.flatMap(({ value }) => file.below(value, null, key)).flatMap(({ value }) => file.texts(value));
  return {
    addresses: valuesOf('addresses').flatMap(addressesIn),
    dhcp: valuesOf('dhcp4').some((text) => /^(true|yes|on|y)$/i.test(text)),
  };
}

const STATIC_KEYS = ['addresses', 'gateway4', 'gateway6', 'nameservers', 'routes', 'dhcp4', 'dhcp6'];
const DHCP = 'dhcp4: true';

/**
 * Switches every device that has static addresses to DHCP; a port of a bond or bridge has none and is left
 * alone.
 */
function useDhcp(path: string, file: YamlFile): string {
  const devices = Map.groupBy(file.entries('network', null, null), ({ key }) => key);
  const fixed = [...devices.values()]
    .map((entries) => entries.flatMap(({ value }) => file.below(value, null)))
    .filter((keys) => keys.some(({ key }) => key === 'addresses'));
  const changes = fixed.flatMap((keys) => {
    const own = keys.filter(({ key }) => STATIC_KEYS.includes(key));
    // One place in each mapping: an interface may be written twice.
    const byMapping = Map.groupBy(own, ({ mapping }) => mapping);
    return [...byMapping.values()].flatMap((entries): Change[] => {
      const first = entries.find(({ key }) => key === 'addresses') ?? entries[0];
      return entries.map((entry) => ({ entry, replacement: entry === first ? DHCP : null }));
    });
  });
  const edits = file.problem === null ? replaceEntries(file.text, changes) : null;
  const text = edits === null ? file.text : applyEdits(file.text, edits);
  const problem =
    file.problem ?? (edits === null ? 'its addresses share lines with other keys' : readYaml(text).problem);
  if (problem === null) return text;
  throw new Hyper2kvmError('plan.network-dhcp', `${path} cannot be changed to DHCP: ${problem}`);
}
