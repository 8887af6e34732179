import { Hyper2kvmError } from '../../../../errors/error.js';
import type { Secret } from './exchange.js';

const HEADER = /^([A-Za-z][A-Za-z0-9-]{0,63}):[ \t]*(\S.*)$/;

/** Parses a credential: a header line, or the query of a signed URL. Throws `remote.secret-unreadable`. */
export function parseSecret(text: string, name: string): Secret {
  const header = HEADER.exec(text);
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(text))
    throw unusable(name, 'has more than one line, or control characters');
  if (header !== null && /[^\t\x20-\x7e]/.test(text))
    throw unusable(name, 'has characters in its header line that are not ASCII');
  if (header !== null) return { headers: { [header[1]!.toLowerCase()]: header[2]! }, query: '' };
  const query = text.replace(/^\?/, '');
  if (/\s/.test(query) || !query.includes('='))
    throw unusable(name, 'is neither a header line (`Authorization: …`) nor the query of a signed URL');
  return { headers: {}, query };
}

function unusable(name: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError('remote.secret-unreadable', `the credential ${name} ${why}`);
}
