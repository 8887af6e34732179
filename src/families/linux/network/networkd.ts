import type { GuestTree } from '../../../guest/tree.js';
import type { Warning } from '../../../model/plan.js';
import type { Operation } from '../../../operations/registry.js';
import { filesIn, rewriteFile } from '../../base/edit.js';
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
import { editIni, type IniLine, iniValues, parseIni } from './ini.js';
import { isGlob, matchesGlob } from './patterns.js';

const DIRECTORY = '/etc/systemd/network';
/** Returns the files with their texts; a link to /dev/null has none. */
const texts = (tree: GuestTree, suffix: RegExp) =>
  filesIn(tree, DIRECTORY, suffix).flatMap((path) => {
    const text = tree.text(path)?.text;
    return text === undefined ? [] : [{ path, text }];
  });

const words = (values: readonly string[]) =>
  values.flatMap((value) => value.split(/\s+/)).filter((word) => word !== '');

/** Patterns for virtual devices and wireless cards. */
const VIRTUAL_GLOB = /^(ve-|vb-|vz-|veth|br|virbr|docker|wl|ww|tap|tun|lo|bond|vlan|cali|cni|wg)/;

export const networkd: NetworkBackend = {
  name: 'networkd',
  interfaces(tree) {
    const virtual = new Set(
      texts(tree, /\.netdev$/).flatMap(({ text }) => iniValues(text, 'NetDev', 'Name')),
    );
    const bound = new Map(linkBindings(tree).map(({ name, mac }) => [name, mac]));
    return texts(tree, /\.network$/).flatMap(({ text }) => {
      const names = words(iniValues(text, 'Match', 'Name')).filter(
        (name) => isPhysicalName(name) && !virtual.has(name),
      );
      const macs = words(iniValues(text, 'Match', 'MACAddress')).map(normaliseMac);
      const mac = macs.length === 1 && names.length === 1 ? (macs[0] ?? null) : null;
      return names.map((name) => ({ name, mac: mac ?? bound.get(name) ?? null }));
    });
  },
  patterns: (tree) =>
    texts(tree, /\.network$/).flatMap(({ path, text }) => {
      const names = words(iniValues(text, 'Match', 'Name'));
      const globs = names.filter((name) => isGlob(name) && !name.startsWith('!'));
      // Selected by a MAC, or for other kinds of device.
      const isOther = parseIni(text).some(
        ({ section, key }) => section === 'Match' && /^((Permanent)?MACAddress|Type)$/.test(key),
      );
      if (globs.length === 0 || isOther || globs.every((glob) => VIRTUAL_GLOB.test(glob))) return [];
      return [
        { path, text: globs.join(' '), accepts: (name) => globs.some((glob) => matchesGlob(glob, name)) },
      ];
    }),
  expects: (tree) =>
    mergeExpectations(
      texts(tree, /\.network$/).flatMap(({ text }) => {
        const values = (section: string, key: string) => iniValues(text, section, key);
        const isManual = values('Link', 'ActivationPolicy').some((policy) =>
          /^(manual|(always-)?down)$/.test(policy),
        );
        // `ve-*`, `docker0`, `wl*`: devices that do not always exist.
        const isElsewhere =
          values('Match', 'Type').length > 0 ||
          words(values('Match', 'Name')).some((name) => /^(ve-|vb-|vz-|host0$|docker|virbr|wl)/.test(name));
        if (isManual || isElsewhere || values('Link', 'Unmanaged').includes('yes')) return [];
        const fixed = [...values('Network', 'Address'), ...values('Address', 'Address')];
        return [
          {
            addresses: fixed.flatMap(addressesIn),
            dhcp: values('Network', 'DHCP').some((value) => /^(yes|true|on|1|both|ipv4|v4)$/.test(value)),
          },
        ];
      }),
    ),
  unpin: (context) => {
    const results = texts(context.tree, /\.(network|link)$/).map(({ path }) => unpinFile(path, context));
    return {
      operations: results.flatMap(({ operations }) => operations),
      warnings: results.flatMap(({ warnings }) => warnings),
    };
  },
  dhcp: (tree) =>
    texts(tree, /\.network$/).flatMap(({ path }) =>
      rewriteFile(tree, path, { fixer: NETWORK_FIXER, reason: 'fix.network = "dhcp"' }, useDhcp),
    ),
};

/** Returns the pairs of MAC and name in the guest's own .link files (systemd.link(5)). */
export function linkBindings(tree: GuestTree): (ConfiguredInterface & { path: string; isPinned: boolean })[] {
  return texts(tree, /\.link$/).flatMap(({ path, text }) => {
    const [name] = iniValues(text, 'Link', 'Name');
    if (name === undefined) return [];
    const macs = words([
      ...iniValues(text, 'Match', 'MACAddress'),
      ...iniValues(text, 'Match', 'PermanentMACAddress'),
    ]);
    const isPinned = parseIni(text).some((line) => isOldPin(line));
    return [{ path, name, mac: macs.length === 1 ? normaliseMac(macs[0]) : null, isPinned }];
  });
}

/**
 * True for a condition that no NIC on KVM meets if its driver is `driver`: `Driver=vmxnet3`,
 * `Path=pci-0000:0b:00.0`.
 */
function isOldPin({ section, key, value }: IniLine, driver = ''): boolean {
  if (section !== 'Match') return false;
  if (key !== 'Driver') return key === 'Path';
  return words([value]).every((word) => OLD_DRIVER.test(word) && word !== driver);
}

function unpinFile(path: string, context: NetworkContext): { operations: Operation[]; warnings: Warning[] } {
  const text = context.tree.text(path)?.text ?? '';
  const lines = parseIni(text);
  const match = lines.filter(({ section, key }) => section === 'Match' && key !== '');
  const foreign = match.filter(
    ({ key, value }) => key === 'MACAddress' && isForeignMac(normaliseMac(value), context),
  );
  const pins = new Set(
    [...match.filter((line) => isOldPin(line, context.driver)), ...foreign].map(({ raw }) => raw),
  );
  if (pins.size === 0) return { operations: [], warnings: [] };
  const replacement = match.length > pins.size ? null : matchInstead(lines, context);
  const reason = 'it matches only a network card of the old hypervisor';
  if (match.length === pins.size && replacement === null) {
    const message = `${path} matches a network card by ${[...pins].join(', ')}, which no NIC on KVM has, and nothing else identifies the card: edit it in the guest`;
    return { operations: [], warnings: [{ fixer: NETWORK_FIXER, code: 'network.pinned', message }] };
  }
  let isPlaced = replacement === null;
  const operations = rewriteFile(context.tree, path, { fixer: NETWORK_FIXER, reason }, (before) =>
    editIni(before, ({ raw, section }) => {
      if (section !== 'Match' || !pins.has(raw)) return raw;
      if (isPlaced) return null;
      isPlaced = true;
      return replacement;
    }),
  );
  const drivers = match.filter(({ key, raw }) => key === 'Driver' && pins.has(raw));
  const isByDriver = replacement?.startsWith('Driver=') === true;
  return {
    operations,
    warnings: isByDriver ? drivers.flatMap(({ value }) => widened(path, value, context)) : [],
  };
}

/**
 * Returns the one condition that identifies the NIC now: the MAC of the name it gives, or any card if there
 * is only one.
 */
function matchInstead(lines: readonly IniLine[], { interfaces, driver }: NetworkContext): string | null {
  const name = lines.find(({ section, key }) => section === 'Link' && key === 'Name')?.value;
  const mac = interfaces.find((candidate) => candidate.name === name)?.mac;
  if (mac !== undefined && mac !== null) return `MACAddress=${mac}`;
  if (interfaces.length > 1) return null;
  const old = lines.find(({ section, key }) => section === 'Match' && key === 'Driver')?.value;
  // The old driver stays beside the new one, so that the guest still boots on the old hypervisor.
  return old === undefined ? `Driver=${driver}` : `Driver=${driver} ${old}`;
}

function useDhcp(text: string): string {
  let isPlaced = false;
  return editIni(text, ({ raw, section, key }) => {
    if (['Address', 'Route'].includes(section)) return null;
    if (section !== 'Network') return raw;
    if (key === '' && /^\s*\[/.test(raw) && !isPlaced) {
      isPlaced = true;
      return `${raw}\nDHCP=yes`;
    }
    return ['Address', 'Gateway', 'DNS', 'DHCP'].includes(key) ? null : raw;
  });
}
