import { filesIn } from '../../edit.js';
import { isPhysicalName, type NetworkBackend, normaliseMac } from './backend.js';

/** wicked's own XML; SUSE's ifcfg files, which it reads too, are the ifcfg backend's. */
export const wicked: NetworkBackend = {
  name: 'wicked',
  interfaces: (tree) =>
    filesIn(tree, '/etc/wicked/ifconfig', /\.xml$/).flatMap((path) => {
      // The pattern is quadratic in what is no such file at all.
      const text = (tree.text(path)?.text ?? '').slice(0, 64 * 1024);
      return [...text.matchAll(/<interface\b[^>]*>([\s\S]*?)<\/interface>/g)].flatMap(([, body = '']) => {
        const name = /<name(?:\s+namespace="ifname")?>\s*([^<\s]+)\s*<\/name>/.exec(body)?.[1] ?? '';
        if (!isPhysicalName(name) || /<(bond|bridge|vlan|team)>/.test(body)) return [];
        const mac = /<permanent-address>\s*([^<\s]+)/.exec(body)?.[1];
        return [{ name, mac: normaliseMac(mac) }];
      });
    }),
};
