/** What a state does with the next character, or asks of its place. */
type Test = ((char: string) => boolean) | 'begin' | 'end' | 'free';

interface State {
  test: Test;
  next: number[];
}

/** A regular expression of LVM's, as an automaton that reads a name once. */
export interface LvmPattern {
  states: readonly State[];
  start: number;
  final: number;
}

/** Part of an automaton; its last state leads nowhere yet. */
interface Part {
  first: number;
  last: number;
}

const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t' };

/**
 * Compiles a regular expression as LVM reads them (libdm/regex/parse_rx.c): `. [] () | * + ? ^ $` and escapes, no
 * counted repeats. Returns null for what LVM rejects. It is evaluated without backtracking, because the guest chooses
 * it.
 */
export function compilePattern(text: string): LvmPattern | null {
  const chars = [...text];
  const states: State[] = [];
  let at = 0;
  const add = (test: Test, ...next: number[]) => states.push({ test, next }) - 1;
  const link = (from: number, to: number) => states[from]?.next.push(to);
  const one = (test: Test): Part => {
    const last = add('free');
    return { first: add(test, last), last };
  };

  function alternatives(): Part | null {
    const branches: Part[] = [];
    do {
      const branch = sequence();
      if (branch === null) return null;
      branches.push(branch);
    } while (chars[at] === '|' && at++ >= 0);
    const last = add('free');
    for (const branch of branches) link(branch.last, last);
    return { first: add('free', ...branches.map(({ first }) => first)), last };
  }

  function sequence(): Part | null {
    const first = add('free');
    let last = first;
    while (at < chars.length && chars[at] !== '|' && chars[at] !== ')') {
      const part = repeated();
      if (part === null) return null;
      link(last, part.first);
      last = part.last;
    }
    return { first, last };
  }

  function repeated(): Part | null {
    let part = atom();
    for (; part !== null && /^[*+?]$/.test(chars[at] ?? ''); at++) {
      const last = add('free');
      const first = add('free', part.first);
      if (chars[at] !== '+') link(first, last);
      if (chars[at] !== '?') link(part.last, part.first);
      link(part.last, last);
      part = { first, last };
    }
    return part;
  }

  function atom(): Part | null {
    const char = chars[at++] ?? '';
    if (char === '(') {
      const part = alternatives();
      return chars[at++] === ')' ? part : null;
    }
    if (char === '[') return set();
    if (char === '^') return one('begin');
    if (char === '$') return one('end');
    if (char === '.') return one((other) => other !== '\n' && other !== '\r');
    if (/^[*+?]$/.test(char)) return null;
    const plain = char === '\\' ? escaped() : char;
    return plain === '' ? null : one((other) => other === plain);
  }

  function escaped(): string {
    const char = chars[at++] ?? '';
    return ESCAPES[char] ?? char;
  }

  function set(): Part | null {
    const isNegated = chars[at] === '^';
    if (isNegated) at++;
    const ranges: [string, string][] = [];
    while (at < chars.length && chars[at] !== ']') {
      const from = member();
      const isRange = chars[at] === '-' && at + 1 < chars.length && chars[at + 1] !== ']';
      if (isRange) at++;
      ranges.push([from, isRange ? member() : from]);
    }
    if (chars[at++] !== ']') return null;
    return one((char) => ranges.some(([from, to]) => from <= char && char <= to) !== isNegated);
  }

  function member(): string {
    const char = chars[at++] ?? '';
    return char === '\\' ? escaped() : char;
  }

  const whole = alternatives();
  if (whole === null || at < chars.length) return null;
  return { states, start: whole.first, final: whole.last };
}

/** True if the pattern matches anywhere in the name. */
export function matchesPattern({ states, start, final }: LvmPattern, name: string): boolean {
  const chars = [...name];
  let reading = new Set<number>();
  for (let at = 0; at <= chars.length; at++) {
    const passes = (test: Test) =>
      test === 'free' || (test === 'begin' && at === 0) || (test === 'end' && at === chars.length);
    // A set is iterated in the order of insertion, also over what is added meanwhile.
    for (const state of reading.add(start))
      if (passes(states[state]!.test)) for (const next of states[state]!.next) reading.add(next);
    if (reading.has(final)) return true;
    const after = new Set<number>();
    for (const state of reading) {
      const { test, next } = states[state]!;
      if (typeof test === 'function' && test(chars[at] ?? '')) for (const other of next) after.add(other);
    }
    reading = after;
  }
  return false;
}
