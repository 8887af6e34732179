import type { LevelPattern } from '../base/boot-patterns.js';

/**
 * The end of a prompt. Behind it stand the kernel's messages and systemd's, which are printed over it, and agetty's
 * word on an automatic login; nothing else.
 */
const PROMPT = String.raw`[lL]ogin:(?:\s*$|\s+\[(?: *\d+\.\d+|\s*OK\s*)\]|\s+\S+ \(automatic login\))`;

/** Words that stand before `login:` in a sentence, not in the place of a host's name. */
const SENTENCE =
  'last|new|failed|invalid|incorrect|bad|illegal|root|user|remote|ssh|local|successful|unsuccessful|previous|first|your|auto|automatic|the|a|an|no|for|at|to|of|on|in|and|or|after|before|per|each|this|next|starting|stopping|started|stopped|disabled|enabled'
    .split('|')
    .map((word) => `[${word.charAt(0).toUpperCase()}${word.charAt(0)}]${word.slice(1)}`)
    .join('|');

/** How lines of a log begin: the kernel's, systemd's, OpenRC's, syslog's, and a program's own. */
const LOG_LINE = String.raw`\s*(?:[[<*#]|[A-Z][a-z]{2} +\d+ \d\d:|\d{4}-\d\d-\d\d[T ]|[a-z][\w.@-]*(?:\[\d+\])?: |(?:Starting|Stopping|Started|Stopped|Last)\s)`;

/**
 * A login prompt, whatever stands before it on its line: nothing (FreeBSD's getty), a host's name of any form
 * (`(none)` of a busybox without one), or text of /etc/issue without a line end.
 */
export const LOGIN_PROMPTS: readonly LevelPattern[] = [
  { level: 'login', pattern: new RegExp(String.raw`^\s*${PROMPT}`) },
  {
    level: 'login',
    pattern: new RegExp(
      String.raw`^\s*(?!(?:Last|Starting|Stopping|Started|Stopped|Failed|Invalid|Incorrect)\s)(?![[<*#])\S{0,254}[^\s:] ${PROMPT}`,
    ),
  },
  {
    level: 'login',
    pattern: new RegExp(
      String.raw`^(?!${LOG_LINE})(?!.*\w\[\d+\]:)\s*(?:\S+\s+)+(?!(?:${SENTENCE})\s)\S*[^\s:] ${PROMPT}`,
    ),
  },
];
