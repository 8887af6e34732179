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
/** Real files have a handful at most; the target of an alias is read again for each. */
const MOST_ALIASES = 100;

/** A key of a mapping with its value. */
export interface YamlEntry {
  key: string;
  /** The target, if it is an alias; null if the value is empty. */
  value: ParsedNode | null;
  /** As it is in the file. */
  pair: Pair<ParsedNode, ParsedNode | null>;
  /** The mapping that contains the entry. */
  mapping: YAMLMap.Parsed;
}

/** The first document of a YAML text; netplan reads no others. */
export interface YamlFile {
  text: string;
  /** The reason why the text must not be edited, or null. What can be read is available in either case. */
  problem: string | null;
  /**
   * Returns the entries at a path of keys, following aliases; null stands for any key. A key that is written
   * twice gives two entries.
   */
  entries(...path: (string | null)[]): YamlEntry[];
  /** Returns the entries at a path below a value. */
  below(value: ParsedNode | null, ...path: (string | null)[]): YamlEntry[];
  /** Returns a scalar's text, or the texts in a sequence; a mapping in a sequence gives its keys. */
  texts(value: ParsedNode | null): string[];
}

/** Parses a YAML text. Every scalar stays text, because netplan itself decides what is a number. */
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

/** True for nodes that come from the text. */
const isParsed = (node: Node): node is ParsedNode => Array.isArray(node.range);

/** Finds the target of each alias; returns the first problem with an alias or a merge key. */
function followAliases(document: Document.Parsed, targets: Map<Alias, ParsedNode>): string | null {
  const anchors = new Map<string, ParsedNode>();
  let problem: string | null = null;
  visit(document, {
    Pair(_, { key }) {
      if (isScalar(key) && key.value === '<<')
        problem ??= 'it has a merge key (<<), which netplan does not support';
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
