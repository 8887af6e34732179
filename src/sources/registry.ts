import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import type { Source } from './base/source.js';
import { localSource } from './local/local-source.js';
import { landHere } from './remote/land-here.js';
import { type Land, remoteSource } from './remote/remote-source.js';

/**
 * Returns the sources of the product, with the way to land what is elsewhere. A new one is one folder in
 * sources/ and one line here.
 */
export function productSources(land: Land): readonly Source[] {
  return [localSource, remoteSource(land)];
}

export const SOURCES = productSources(landHere(null));

/** Returns the source of a type. Throws `source.unknown-type`. */
export function sourceOf(type: string, sources: readonly Source[]): Source {
  const source = sources.find((candidate) => candidate.type === type);
  if (source !== undefined) return source;
  throw new Hyper2kvmError('source.unknown-type', `there is no source of the type ${printable(type)}`, {
    facts: `Known types: ${sources.map((known) => known.type).join(', ')}.`,
  });
}
