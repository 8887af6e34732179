import { MAX_NAME } from './backend.js';

/** What a file of the guest says of a card's name without naming it: `ens*`. */
export interface NamePattern {
  path: string;
  /** As written, for people. */
  text: string;
  accepts(name: string): boolean;
}

export const isGlob = (text: string): boolean => /[*?[]/.test(text);

/** Returns true where a glob (fnmatch(3): `*`, `?`, `[a-z]`) matches a whole name of an interface. */
export function matchesGlob(glob: string, name: string): boolean {
  const tokens = glob.match(/\*|\?|\[[^\]]*\]|./gs) ?? [];
  if (name.length > MAX_NAME) return false;
  // Where the last star stands, and what it has taken so far: it takes one more where the rest does not fit.
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

/** The cards that a guest on KVM has: behind root ports, and on an old board. */
const ON_KVM = { predictable: ['enp1s0', 'enp2s0', 'ens3'], kernel: ['eth0', 'eth1'] };
/** Names that the first card has on hypervisors, the most frequent first. */
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

/** True where the pattern takes the names that the cards have on KVM anyway. */
export const acceptsKvm = ({ accepts }: NamePattern, isKernelNamed: boolean): boolean =>
  ON_KVM[isKernelNamed ? 'kernel' : 'predictable'].every(accepts);

/** A name for the only card that the pattern takes; null where no card has ever had such a name. */
export const firstName = ({ accepts }: NamePattern): string | null => FIRST.find(accepts) ?? null;
