import { filesIn, rewriteFile } from '../../base/edit.js';
import {
  addressesIn,
  isPhysicalName,
  mergeExpectations,
  NETWORK_FIXER,
  type NetworkBackend,
  normaliseMac,
} from './backend.js';

/** wicked's own XML; SUSE's ifcfg files, which it reads too, belong to the ifcfg backend. */
export const wicked: NetworkBackend = {
  name: 'wicked',
  interfaces: (tree) =>
    filesIn(tree, '/etc/wicked/ifconfig', /\.xml$/).flatMap((path) => {
      const text = (tree.text(path)?.text ?? '').slice(0, MAX_XML);
      return [...text.matchAll(/<interface\b[^>]*>([\s\S]*?)<\/interface>/g)].flatMap(([, body = '']) => {
        const name = /<name(?:\s+namespace="ifname")?>\s*([^<\s]+)\s*<\/name>/.exec(body)?.[1] ?? '';
        if (!isPhysicalName(name) || /<(bond|bridge|vlan|team)>/.test(body)) return [];
        const mac = /<permanent-address>\s*([^<\s]+)/.exec(body)?.[1];
        return [{ name, mac: normaliseMac(mac) }];
      });
    }),
  expects: (tree) =>
    mergeExpectations(
      filesIn(tree, '/etc/wicked/ifconfig', /\.xml$/).map((path) => {
        const text = (tree.text(path)?.text ?? '').slice(0, MAX_XML);
        return {
          addresses: [...text.matchAll(/<local>([^<]{1,64})<\/local>/g)].flatMap(([, local = '']) =>
            addressesIn(local),
          ),
          dhcp: /<ipv4:dhcp>\s*<enabled>true/.test(text),
        };
      }),
    ),
  dhcp: (tree) =>
    filesIn(tree, '/etc/wicked/ifconfig', /\.xml$/).flatMap((path) =>
      rewriteFile(tree, path, { fixer: NETWORK_FIXER, reason: 'fix.network = "dhcp"' }, (text) =>
        text.length > MAX_XML ? text : text.replace(STATIC, '<ipv4:dhcp><enabled>true</enabled></ipv4:dhcp>'),
      ),
    ),
};

/** Limit on a file: the patterns need quadratic time for text that is not such a file at all. */
const MAX_XML = 64 * 1024;
const STATIC = /<ipv4:static\b[^>]*>[\s\S]*?<\/ipv4:static>/g;
