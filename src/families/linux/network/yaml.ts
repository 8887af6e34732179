import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  type ParsedNode,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from 'yaml';

/** A thousand VLANs take 80 KiB. The parser needs about a second for the most hostile text of this length. */
const LARGEST_TEXT = 128 * 1024;
/** Real files have none or a handful; what an alias stands for is read again for each. */
const MOST_ALIASES = 100;

/** A key of a mapping with its value. */
export interface YamlEntry {
  key: string;
  /** What an alias stands for; null where nothing is written. */
  value: ParsedNode | null;
  /** As the file has it. */
  pair: Pair<ParsedNode, ParsedNode | null>;
  /** The mapping that the entry is written in. */
  mapping: YAMLMap.Parsed;
}

/** The first document of a YAML text: netplan reads no others. */
export interface YamlFile {
  text: string;
  /** Why the text must not be edited; null where nothing is wrong. What can be read is there all the same. */
  problem: string | null;
  /**
   * Returns the entries at a path of keys, through aliases; null stands for any key. A key written twice
   * gives two.
   */
  entries(...path: (string | null)[]): YamlEntry[];
  /** Returns the entries at a path below a value. */
  below(value: ParsedNode | null, ...path: (string | null)[]): YamlEntry[];
  /** Returns a scalar's text, or the texts in a sequence; a mapping in a sequence counts by its keys. */
  texts(value: ParsedNode | null): string[];
}

/** Parses a YAML text. Every scalar is a text: netplan itself decides what is a number. */
export function readYaml(text: string): YamlFile {
  if (text.length > LARGEST_TEXT)
    return fileOf(text, null, new Map(), `it is longer than ${LARGEST_TEXT / 1024} KiB`);
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, {
    schema: 'failsafe',
    uniqueKeys: false,
    strict: false,
    prettyErrors: false,
    lineCounter,
  });
  const [document] = documents;
  if (document === undefined) return fileOf(text, null, new Map(), null);
  const targets = new Map<Alias, ParsedNode>();
  const wrongReference = followAliases(document, targets);
  const [error] = document.errors;
  if (error === undefined) return fileOf(text, document.contents, targets, wrongReference);
  const { line, col } = lineCounter.linePos(error.pos[0]);
  const problem = `line ${line}, column ${col} is not valid YAML: ${error.message}`;
  return fileOf(text, document.contents, targets, problem);
}

/** True for every node that a text was parsed to. */
const isParsed = (node: Node): node is ParsedNode => Array.isArray(node.range);

/** Finds what each alias stands for; returns what is wrong with one of them, or with a merge key. */
function followAliases(document: Document.Parsed, targets: Map<Alias, ParsedNode>): string | null {
  const anchors = new Map<string, ParsedNode>();
  let problem: string | null = null;
  visit(document, {
    Pair(_, { key }) {
      if (isScalar(key) && key.value === '<<')
        problem ??= 'it has a merge key (<<), which netplan does not know';
    },
    Alias(_, alias) {
      const target = anchors.get(alias.source);
      if (target === undefined) problem ??= `the alias *${alias.source} has no anchor`;
      else if (targets.size >= MOST_ALIASES) problem ??= `it has more than ${MOST_ALIASES} aliases`;
      else targets.set(alias, target);
    },
    Value(_, node) {
      if (node.anchor !== undefined && isParsed(node)) anchors.set(node.anchor, node);
    },
  });
  return problem;
}

function fileOf(
  text: string,
  top: ParsedNode | null,
  targets: ReadonlyMap<Alias, ParsedNode>,
  problem: string | null,
): YamlFile {
  const known = new Map<ParsedNode, YamlEntry[]>();
  const followed = (node: ParsedNode | null): ParsedNode | null =>
    isAlias(node) ? (targets.get(node) ?? null) : node;
  const entriesOf = (node: ParsedNode | null): YamlEntry[] => {
    if (!isMap(node)) return [];
    const found = known.get(node) ?? node.items.flatMap((pair) => entryOf(pair, node));
    known.set(node, found);
    return found;
  };
  const entryOf = (pair: YamlEntry['pair'], mapping: YamlEntry['mapping']): YamlEntry[] => {
    const key = followed(pair.key);
    return isScalar(key)
      ? [{ key: String(key.value), value: followed(pair.value ?? null), pair, mapping }]
      : [];
  };
  const below: YamlFile['below'] = (value, key, ...rest) => {
    if (key === undefined) return [];
    const here = entriesOf(value).filter((entry) => key === null || entry.key === key);
    return rest.length === 0 ? here : here.flatMap((entry) => below(entry.value, ...rest));
  };
  const textsOf = (node: ParsedNode | null): string[] =>
    isScalar(node) ? [String(node.value)] : entriesOf(node).map(({ key }) => key);
  const texts: YamlFile['texts'] = (value) =>
    isSeq(value)
      ? value.items.flatMap((item) => textsOf(followed(item)))
      : isScalar(value)
        ? textsOf(value)
        : [];
  return { text, problem, entries: (...path) => below(top, ...path), below, texts };
}
