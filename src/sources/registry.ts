import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import type { Source } from './base/source.js';
import { localSource } from './local/local-source.js';

/** The sources of the product. A new one is one folder in sources/ and one line here. */
export const SOURCES: readonly Source[] = [localSource];

/** Returns the source of a type. Throws `source.unknown-type`. */
export function sourceOf(type: string, sources: readonly Source[]): Source {
  const source = sources.find((candidate) => candidate.type === type);
  if (source !== undefined) return source;
  throw new Hyper2kvmError('source.unknown-type', `there is no source of the type ${printable(type)}`, {
    facts: `Known types: ${sources.map((known) => known.type).join(', ')}.`,
  });
}
