import { MAX_NAME } from './backend.js';

/** A pattern by which a file of the guest selects cards: `ens*`. */
export interface NamePattern {
  path: string;
  /** As written, for messages. */
  text: string;
  accepts(name: string): boolean;
}

export const isGlob = (text: string): boolean => /[*?[]/.test(text);

/** Returns true if a glob (fnmatch(3): `*`, `?`, `[a-z]`) matches the whole name of an interface. */
export function matchesGlob(glob: string, name: string): boolean {
  const tokens = glob.match(/\*|\?|\[[^\]]*\]|./gs) ?? [];
  if (name.length > MAX_NAME) return false;
  // The last star and where its match ends: one more character is tried if the rest does not fit.
  let [token, at, star, taken] = [0, 0, -1, 0];
  while (at < name.length) {
    if (tokens[token] === '*') {
      star = token++;
      taken = at;
    } else if (token < tokens.length && fits(tokens[token]!, name[at]!)) {
      token++;
      at++;
    } else if (star !== -1) {
      token = star + 1;
      at = ++taken;
    } else return false;
  }
  return tokens.slice(token).every((rest) => rest === '*');
}

function fits(token: string, character: string): boolean {
  if (token === '?') return true;
  if (token.length < 2) return token === character;
  const isNegated = /^\[[!^]/.test(token);
  const members = token.slice(isNegated ? 2 : 1, -1);
  const isIn = [...members.matchAll(/(.)-(.)|(.)/g)].some(([, from, to, one]) =>
    one === undefined ? from! <= character && character <= to! : one === character,
  );
  return isIn !== isNegated;
}

/** Names of cards on KVM: behind root ports, and on an older machine type. */
const ON_KVM = { predictable: ['enp1s0', 'enp2s0', 'ens3'], kernel: ['eth0', 'eth1'] };
/** Names of the first card on various hypervisors, the most frequent first. */
const FIRST = [
  'ens192',
  'ens160',
  'ens33',
  'ens32',
  'ens18',
  'eth0',
  'enp0s3',
  'enp11s0',
  'eno16777984',
  'em1',
];

/** Returns true if the pattern matches the names that cards get on KVM. */
export const acceptsKvm = ({ accepts }: NamePattern, isKernelNamed: boolean): boolean =>
  ON_KVM[isKernelNamed ? 'kernel' : 'predictable'].every(accepts);

/** Returns a name for the only card, one that the pattern matches; null if it matches no usual name. */
export const firstName = ({ accepts }: NamePattern): string | null => FIRST.find(accepts) ?? null;
