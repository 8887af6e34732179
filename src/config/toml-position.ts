import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';

/** The position of a key in a TOML text; both count from 1, the column in UTF-16 units as in editors. */
export interface TomlPosition {
  line: number;
  column: number;
}

/**
 * Returns where each key, table and array element of a TOML text is first written, by its dotted path
 * (`watch.settle_seconds`, `notify.0.url` for the first table of an array). All parts of a dotted key have
 * the position where it begins. smol-toml returns only values, but an error message needs the line. Empty if
 * the two parsers disagree whether the text is TOML; messages then have no lines.
 */
export function tomlPositions(text: string): Map<string, TomlPosition> {
  const positions = new Map<string, TomlPosition>();
  const mark = (path: readonly (string | number)[], from: number, { loc: { start } }: AST.TOMLNode) => {
    for (let length = from; length <= path.length; length += 1) {
      const name = path.slice(0, length).join('.');
      if (!positions.has(name)) positions.set(name, { line: start.line, column: start.column + 1 });
    }
  };
  const visitPairs = (table: readonly (string | number)[], pairs: readonly AST.TOMLKeyValue[]) => {
    for (const { key, value } of pairs) {
      const path = [...table, ...key.keys.map(keyName)];
      mark(path, table.length + 1, key);
      visitValue(path, value);
    }
  };
  const visitValue = (path: readonly (string | number)[], value: AST.TOMLContentNode) => {
    if (value.type === 'TOMLInlineTable') visitPairs(path, value.body);
    if (value.type !== 'TOMLArray') return;
    for (const [index, element] of value.elements.entries()) {
      const place = [...path, index];
      mark(place, place.length, element);
      visitValue(place, element);
    }
  };
  for (const node of topLevel(text)) {
    if (node.type === 'TOMLKeyValue') {
      visitPairs([], [node]);
      continue;
    }
    mark(node.resolvedKey, 1, node.key);
    visitPairs(node.resolvedKey, node.body);
  }
  return positions;
}

/**
 * Returns the entry of `places` for a dotted key, or for the nearest table or array above it, because a
 * missing key has no position.
 */
export function nearestPlace<T>(places: ReadonlyMap<string, T>, key: string): T | null {
  for (let end = key.length; end > 0; end = key.lastIndexOf('.', end - 1)) {
    const place = places.get(key.slice(0, end));
    if (place !== undefined) return place;
  }
  return null;
}

const keyName = (key: AST.TOMLBare | AST.TOMLQuoted) => (key.type === 'TOMLBare' ? key.name : key.value);

function topLevel(text: string): AST.TOMLTopLevelTable['body'] {
  try {
    // The version that smol-toml reads.
    return parseTOML(text, { tomlVersion: '1.1' }).body[0].body;
  } catch (error) {
    // A RangeError means that nesting overflowed the parser's stack.
    if (error instanceof ParseError || error instanceof RangeError) return [];
    throw error;
  }
}
