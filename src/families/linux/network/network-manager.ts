import type { GuestTree } from '../../../guest/tree.js';
import type { Warning } from '../../../model/plan.js';
import { filesIn, rewriteFile } from '../../base/edit.js';
import {
  addressesIn,
  isForeignMac,
  isPhysicalName,
  mergeExpectations,
  NETWORK_FIXER,
  type NetworkBackend,
  normaliseMac,
  OLD_DRIVER,
  widened,
} from './backend.js';
import { editIni, iniValues, parseIni } from './ini.js';
import { isGlob, matchesGlob } from './patterns.js';

const ETHERNET = ['ethernet', '802-3-ethernet'];
/**
 * Types that a converted VM has and that come up by themselves: not wireless, and not a VPN, which a person
 * or a peer starts.
 */
const WIRED = [...ETHERNET, 'bond', 'bridge', 'team', 'vlan'];
const keyfiles = (tree: GuestTree) =>
  filesIn(tree, '/etc/NetworkManager/system-connections', /^[^.].*[^~]$/).flatMap((path) => {
    const text = tree.text(path)?.text;
    return text === undefined ? [] : [{ path, text }];
  });

/**
 * Returns the items of `[match] interface-name=` (nm-settings(5)): names and globs, with `!` before one that
 * must not match, `&` before one that must, `|` before an alternative.
 */
function matchedNames(text: string): { names: string[]; globs: string[]; excluded: string[] } {
  const items = iniValues(text, 'match', 'interface-name')
    .flatMap((value) => value.split(/[;,]/))
    .map((item) => item.trim().replace(/^[|&](?=.)/, ''))
    .filter((item) => item !== '');
  const wanted = items.filter((item) => !item.startsWith('!'));
  return {
    names: wanted.filter((item) => !isGlob(item)),
    globs: wanted.filter(isGlob),
    excluded: items.filter((item) => item.startsWith('!')).map((item) => item.slice(1)),
  };
}

/** Keyfiles (nm-settings-keyfile(5)); they keep mode 0600, because they are rewritten in place. */
export const networkManager: NetworkBackend = {
  name: 'NetworkManager',
  interfaces: (tree) =>
    keyfiles(tree).flatMap(({ text }) => {
      const [type = ''] = iniValues(text, 'connection', 'type');
      // A VLAN's card needs no connection of its own.
      if (type === 'vlan')
        return iniValues(text, 'vlan', 'parent')
          .filter(isPhysicalName)
          .map((name) => ({ name, mac: null }));
      const names = [...iniValues(text, 'connection', 'interface-name'), ...matchedNames(text).names];
      if (!ETHERNET.includes(type)) return [];
      const [address] = ETHERNET.flatMap((section) => iniValues(text, section, 'mac-address'));
      const mac = names.length === 1 ? normaliseMac(address) : null;
      return names.filter(isPhysicalName).map((name) => ({ name, mac }));
    }),
  patterns: (tree) =>
    keyfiles(tree).flatMap(({ path, text }) => {
      const { globs, excluded } = matchedNames(text);
      const isNamed = [
        ...iniValues(text, 'connection', 'interface-name'),
        ...ETHERNET.flatMap((section) => iniValues(text, section, 'mac-address')),
      ].some((value) => value !== '');
      if (isNamed || globs.length === 0) return [];
      if (!ETHERNET.includes(iniValues(text, 'connection', 'type')[0] ?? '')) return [];
      const accepts = (name: string) =>
        globs.some((glob) => matchesGlob(glob, name)) && !excluded.some((glob) => matchesGlob(glob, name));
      return [{ path, text: globs.join(', '), accepts }];
    }),
  expects: (tree) =>
    mergeExpectations(
      keyfiles(tree).flatMap(({ text }) => {
        const first = (section: string, key: string) => iniValues(text, section, key)[0] ?? '';
        if (!WIRED.includes(first('connection', 'type'))) return [];
        if (first('connection', 'autoconnect') === 'false') return [];
        return ['ipv4', 'ipv6'].map((section) => ({
          addresses:
            first(section, 'method') === 'manual'
              ? parseIni(text)
                  .filter((line) => line.section === section && /^address(es)?\d*$/.test(line.key))
                  .flatMap(({ value }) => addressesIn(section === 'ipv4' ? value.replace(/,.*$/, '') : value))
              : [],
          // A keyfile without a method has no IPv4 (nm-settings-keyfile(5)); IPv6 alone does not guarantee an
          // address.
          dhcp: section === 'ipv4' && first(section, 'method') === 'auto',
        }));
      }),
    ),
  unpin(context) {
    const warnings: Warning[] = [];
    const operations = keyfiles(context.tree).flatMap(({ path }) =>
      rewriteFile(
        context.tree,
        path,
        { fixer: NETWORK_FIXER, reason: 'the connection is tied to a card of the old hypervisor' },
        (text) =>
          editIni(text, ({ raw, section, key, value }) => {
            const isCard = ETHERNET.includes(section) && key === 'mac-address';
            if (isCard && isForeignMac(normaliseMac(value), context)) return null;
            if (section !== 'match' || (key !== 'driver' && key !== 'path')) return raw;
            const items = value.split(';').filter((item) => item !== '');
            if (key === 'path') return items.every((item) => item.startsWith('pci-')) ? null : raw;
            const needsDriver =
              items.some((item) => OLD_DRIVER.test(item)) && !items.includes(context.driver);
            if (needsDriver) warnings.push(...widened(path, value, context));
            return needsDriver ? `driver=${[...items, context.driver].join(';')};` : raw;
          }),
      ),
    );
    return { operations, warnings };
  },
  dhcp: (tree) =>
    keyfiles(tree)
      .filter(({ text }) => ETHERNET.includes(iniValues(text, 'connection', 'type')[0] ?? ''))
      .flatMap(({ path }) =>
        rewriteFile(tree, path, { fixer: NETWORK_FIXER, reason: 'fix.network = "dhcp"' }, (text) =>
          editIni(text, ({ raw, section, key }) => {
            if (section !== 'ipv4') return raw;
            if (key === 'method') return 'method=auto';
            return /^(address(es)?|route|gateway|dns)\d*$/.test(key) ? null : raw;
          }),
        ),
      ),
};
