import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from 'yaml';

/** Configuration of a thousand VLANs has 80 KiB. The most hostile text of this length takes the parser about a second. */
const LARGEST_TEXT = 128 * 1024;
/** Through each alias the whole mapping that it stands for is read again. */
const MOST_ALIASES = 1000;

/** A key of a mapping and its value, as the file has them. */
export interface YamlEntry {
  key: string;
  /** What an alias stands for; null where nothing is written. */
  value: Node | null;
  pair: Pair<Node, Node | null>;
  /** The mapping that the entry is written in. */
  mapping: YAMLMap<Node, Node | null>;
}

/** The first document of a YAML text: netplan reads no others. */
export interface YamlFile {
  text: string;
  /** Why the text must not be edited, for people; null where nothing is wrong with it. What can be read of it is there all the same. */
  problem: string | null;
  /** The entries at a path of keys, in the file's order and through aliases; null stands for every key. A key that is written twice gives two. */
  entries(...path: (string | null)[]): YamlEntry[];
  /** The same below a value. */
  below(value: Node | null, ...path: (string | null)[]): YamlEntry[];
  /** A scalar's text, or those of a sequence; of a mapping in it, its keys. */
  texts(value: Node | null): string[];
}

/** Reads a YAML text with the offsets of everything in it. Scalars are texts: netplan itself decides what is a number. */
export function readYaml(text: string): YamlFile {
  if (text.length > LARGEST_TEXT)
    return fileOf(text, null, new Map(), `it is longer than ${LARGEST_TEXT / 1024} KiB`);
  const lineCounter = new LineCounter();
  const options = { schema: 'failsafe', uniqueKeys: false, strict: false, prettyErrors: false, lineCounter } as const;
  const documents = parseAllDocuments(text, options);
  const document = Array.isArray(documents) ? documents[0] : undefined;
  if (document === undefined) return fileOf(text, null, new Map(), null);
  const [error] = document.errors;
  const { line = 0, col = 0 } = error === undefined ? {} : lineCounter.linePos(error.pos[0]);
  const syntax = error === undefined ? null : `it is not valid YAML (line ${line}, column ${col}: ${error.message})`;
  const targets = new Map<Alias, Node>();
  const reference = followReferences(document, targets);
  return fileOf(text, document.contents, targets, syntax ?? reference);
}

/** Finds what each alias stands for. Returns what is wrong with them, or with a merge key, or null. */
function followReferences(document: Document, targets: Map<Alias, Node>): string | null {
  const anchors = new Map<string, Node>();
  let problem: string | null = null;
  visit(document, {
    Pair(_, { key }) {
      if (isScalar(key) && key.value === '<<') problem ??= 'it has a merge key (<<), which netplan does not know';
    },
    Alias(_, alias) {
      const target = anchors.get(alias.source);
      if (target === undefined) problem ??= `its alias *${alias.source} has no anchor`;
      else if (targets.size >= MOST_ALIASES) problem = `it has more than ${MOST_ALIASES} aliases`;
      else targets.set(alias, target);
    },
    Value(_, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return problem;
}

function fileOf(
  text: string,
  top: Node | null,
  targets: ReadonlyMap<Alias, Node>,
  problem: string | null,
): YamlFile {
  const known = new Map<Node, YamlEntry[]>();
  const followed = (node: Node | null): Node | null => (isAlias(node) ? (targets.get(node) ?? null) : node);
  const entriesOf = (node: Node | null): YamlEntry[] => {
    if (!isMap<Node, Node | null>(node)) return [];
    const found =
      known.get(node) ??
      node.items.flatMap((pair) => {
        const key = followed(pair.key);
        return isScalar(key)
          ? [{ key: String(key.value), value: followed(pair.value ?? null), pair, mapping: node }]
          : [];
      });
    known.set(node, found);
    return found;
  };
  const below: YamlFile['below'] = (value, ...path) => {
    const [key, ...rest] = path;
    if (key === undefined) return [];
    const here = entriesOf(value).filter((entry) => key === null || entry.key === key);
    return rest.length === 0 ? here : here.flatMap((entry) => below(entry.value, ...rest));
  };
  const texts: YamlFile['texts'] = (value) => {
    if (isScalar(value)) return [String(value.value)];
    const items = isSeq<Node>(value) ? value.items : [];
    return items.flatMap((item) => {
      const node = followed(item);
      if (isScalar(node)) return [String(node.value)];
      return entriesOf(node).map(({ key }) => key);
    });
  };
  return { text, problem, entries: (...path) => below(top, ...path), below, texts };
}
