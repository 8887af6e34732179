import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { interrupted } from '../http/errors.js';

/** Exit code by which ssh reports a failure of its own. */
export const SSH_FAILED = 255;

type Rule = [
  pattern: RegExp,
  code: 'remote.unreachable' | 'remote.timeout' | 'remote.auth' | 'remote.host-key',
];

/** What OpenSSH prints, in the C locale. */
const OF_SSH: readonly Rule[] = [
  [
    /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|no matching host key/i,
    'remote.host-key',
  ],
  [/Permission denied|Too many authentication failures|Load key .*:/i, 'remote.auth'],
  [/timed out/i, 'remote.timeout'],
  [
    /Connection refused|No route to host|Could not resolve hostname|Network is (unreachable|down)|Host is down/i,
    'remote.unreachable',
  ],
];

/** Returns the error that ssh's own failure stands for. `server` is host and port. */
export function sshError(stderr: string, server: string): Hyper2kvmError {
  const said = printable(stderr.trim().replaceAll(/\s+/g, ' '), 600);
  const [, code] = OF_SSH.find(([pattern]) => pattern.test(stderr)) ?? [];
  if (code === undefined) return interrupted(`the connection to ${server} broke off: ${said}`);
  const retryable = code === 'remote.unreachable' || code === 'remote.timeout';
  return new Hyper2kvmError(code, `${server}: ${said}`, { retryable });
}

/** Returns the error for a command that failed on the host. `what` says which, for people. */
export function commandError(code: number, stderr: string, what: string): Hyper2kvmError {
  const said = printable(withoutCounts(stderr), 300);
  const text = `${what}: ${said === '' ? `exit code ${code}` : said}`;
  if (/No such file or directory|can't stat/i.test(stderr))
    return new Hyper2kvmError('remote.not-found', text);
  if (/resource busy|temporarily unavailable|Text file busy/i.test(stderr))
    return new Hyper2kvmError('remote.locked', text, { retryable: true });
  if (/Permission denied|not permitted/i.test(stderr)) return new Hyper2kvmError('remote.permission', text);
  return interrupted(text);
}

/** dd also prints how much it copied. */
function withoutCounts(stderr: string): string {
  const lines = stderr
    .split('\n')
    .filter((line) => !/^\d+\+\d+ records (in|out)|^\d+ bytes .*copied/.test(line));
  return lines.join(' ').trim();
}
