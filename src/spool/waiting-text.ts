import type { Drop, Waiting } from '../model/drop.js';
import { printable } from '../text/escape-terminal.js';

/** Returns what a drop waits for, for people: `missing web01-s003.vmdk`; null if only time has to pass. */
export function waitingText({ waiting, problem }: Pick<Drop, 'waiting' | 'problem'>): string | null {
  if (problem !== undefined) return `${problem.code}: ${problem.message}. ${problem.advice}`;
  return waiting === null ? null : textOf(waiting, waiting.names.map((name) => printable(name)).join(', '));
}

function textOf(waiting: Waiting, names: string): string {
  switch (waiting.kind) {
    case 'missing':
      if (waiting.what === 'descriptor') return `missing the descriptor of ${names}`;
      if (waiting.what === 'delta') return `missing the delta on ${names} (a snapshot froze it)`;
      return `missing ${names}${waiting.more > 0 ? ` and ${waiting.more} more` : ''}`;
    case 'writing':
      return `${names} is still being written: ${printable(waiting.shownBy)} is there`;
    case 'unfinished':
      return `${names}: ${waiting.why}`;
    case 'unchecked':
      return `${names}: its tables are being checked`;
    case 'no-disk':
      return 'no disk image in the directory yet';
  }
}
