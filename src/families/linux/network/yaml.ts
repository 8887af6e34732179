/** A mapping entry of a YAML file with the keys above it. */
export interface YamlEntry {
  path: string[];
  /** The scalar without quotes; for a mapping or sequence what stands on the key's line. */
  value: string;
  line: number;
  indent: number;
  /** In a flow mapping: the columns of the value, the end excluded. Null in block style. */
  columns: [number, number] | null;
}

const KEY = /^( *)(?:"([^"]*)"|'([^']*)'|([^\s#"'{:-][^"':#{]*)):(?:\s(.*))?$/;
const FLOW_KEY = /\s*(?:"([^"]*)"|'([^']*)'|([^\s"'{}[\],:]+))\s*:\s*/y;
const FLOW_SCALAR = /"[^"]*"|'[^']*'|\[[^\]]*\]|[^,{}]+/y;

/**
 * The mappings of a netplan file as netplan, cloud-init and people write them: block style with blanks for indent, and flow mappings (`{…}`) that end on the line
 * where they begin. Items of sequences are passed over: this reads names and MACs, it is no YAML parser.
 */
export function yamlEntries(text: string): YamlEntry[] {
  const stack: { indent: number; key: string }[] = [];
  return text.split('\n').flatMap((raw, line) => {
    const match = KEY.exec(raw);
    if (match === null) return [];
    const [, blanks = '', double, single, bare, rest = ''] = match;
    const indent = blanks.length;
    while ((stack.at(-1)?.indent ?? -1) >= indent) stack.pop();
    stack.push({ indent, key: double ?? single ?? bare ?? '' });
    const path = stack.map((level) => level.key);
    const entry = { path, value: unquoted(withoutComment(rest)), line, indent, columns: null };
    const brace = raw.length - rest.trimStart().length;
    const inside = raw[brace] === '{' ? flowEntries(raw, brace, { path, line, indent }) : [];
    return [entry, ...inside];
  });
}

type Place = Pick<YamlEntry, 'path' | 'line' | 'indent'>;

/** The entries of the flow mapping that begins at column `start`, at any depth; what is no such mapping ends the reading. */
function flowEntries(raw: string, start: number, place: Place): YamlEntry[] {
  const entries: YamlEntry[] = [];
  const path = [...place.path];
  let at = start + 1;
  while (at < raw.length && path.length >= place.path.length) {
    const character = raw[at] ?? '';
    if (character === '}') path.pop();
    if (/[},\s]/.test(character)) {
      at += 1;
      continue;
    }
    FLOW_KEY.lastIndex = at;
    const key = FLOW_KEY.exec(raw);
    if (key === null) break;
    at = FLOW_KEY.lastIndex;
    const name = key[1] ?? key[2] ?? key[3] ?? '';
    if (raw[at] === '{') {
      path.push(name);
      entries.push({ ...place, path: [...path], value: '', columns: null });
      at += 1;
      continue;
    }
    FLOW_SCALAR.lastIndex = at;
    const value = FLOW_SCALAR.exec(raw)?.[0].trimEnd() ?? '';
    entries.push({
      ...place,
      path: [...path, name],
      value: unquoted(value),
      columns: [at, at + value.length],
    });
    at += Math.max(1, value.length);
  }
  return entries;
}

function withoutComment(text: string): string {
  const comment = ` ${text}`.search(/\s#/);
  return (comment === -1 ? text : text.slice(0, comment)).trim();
}

const unquoted = (value: string) => value.replace(/^(["'])(.*)\1$/, '$2');
