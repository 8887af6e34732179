import type { GuestTree } from '../../../guest/tree.js';
import { filesIn, rewriteFile } from '../../edit.js';
import type { Warning } from '../../operation.js';
import {
  type ConfiguredInterface,
  isForeignMac,
  isPhysicalName,
  NETWORK_FIXER,
  type NetworkBackend,
  normaliseMac,
  OLD_DRIVER,
} from './backend.js';

const files = (tree: GuestTree) => filesIn(tree, '/etc/netplan', /\.ya?ml$/);

/** A line `key: value` of block YAML with the keys above it. */
interface YamlLine {
  path: string[];
  value: string;
  line: number;
}

/**
 * The mappings of a netplan file as netplan, cloud-init and Ubuntu's installer write them: block style, blanks for indent. Flow style
 * (`{…}`) comes out as a value, sequences are passed over: this reads names and MACs, it is no YAML parser.
 */
function yamlLines(text: string): YamlLine[] {
  const stack: { indent: number; key: string }[] = [];
  return text.split('\n').flatMap((raw, line) => {
    const match = /^( *)(?:"([^"]*)"|'([^']*)'|([^\s#"':-][^"':#]*)):(?:\s(.*))?$/.exec(raw);
    if (match === null) return [];
    const [, blanks = '', double, single, bare, rest = ''] = match;
    const key = double ?? single ?? bare ?? '';
    const comment = ` ${rest}`.search(/\s#/);
    const value = (comment === -1 ? rest : rest.slice(0, comment)).trim();
    while ((stack.at(-1)?.indent ?? -1) >= blanks.length) stack.pop();
    stack.push({ indent: blanks.length, key });
    return [{ path: stack.map((level) => level.key), value: value.replace(/^(["'])(.*)\1$/, '$2'), line }];
  });
}

interface Ethernet extends ConfiguredInterface {
  match: { driver?: YamlLine; macaddress?: YamlLine; name?: YamlLine };
}

function ethernets(text: string): Ethernet[] {
  /** Per interface of netplan's: its lines by the keys below it, `match/driver`. */
  const byId = new Map<string, Map<string, YamlLine>>();
  for (const entry of yamlLines(text)) {
    const [top, kind, id, ...keys] = entry.path;
    if (top !== 'network' || kind !== 'ethernets' || id === undefined) continue;
    const known = byId.get(id) ?? new Map<string, YamlLine>();
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
          const { line } = match.driver;
          const isNeeded = match.macaddress === undefined && match.name === undefined;
          // A pattern that takes the old and the new driver alike; with several cards it would take them all.
          const driver = all.length === 1 ? '"*"' : context.driver;
          lines[line] = isNeeded ? (lines[line] ?? '').replace(/(driver["']?:\s*).*$/, `$1${driver}`) : null;
        }
        return lines.filter((line) => line !== null).join('\n');
      }),
    );
    return { operations, warnings };
  },
};
