import type { SshTarget } from '../ssh/target.js';
import { terminalText } from '../text/escape-terminal.js';
import { shellWord } from '../text/format.js';

/** Returns the beginning of a command line of `live` that reaches the same host in the same way. */
export function liveCommandLine(
  { host, user, port, identity, knownHosts }: SshTarget,
  config: string | undefined,
): string {
  const options = { user, port, identity, 'known-hosts': knownHosts, config: config ?? null };
  const words = Object.entries(options).flatMap(([name, value]) =>
    value === null ? [] : [`--${name}`, shellWord(String(value))],
  );
  return terminalText(['hyper2kvm live', shellWord(host), ...words].join(' '));
}

/** Returns what to do after a plan was shown. */
export function nextText(command: string, digest: string, changes: number): string {
  if (changes === 0) return 'Nothing has to be prepared on this guest.\n';
  return `Nothing was changed. To make exactly these changes:\n  ${command} --apply ${digest}\n`;
}

/** Returns what was changed, and how to undo it. `id`: of the backup, null if nothing had to be changed. */
export function appliedText(
  command: string,
  id: string | null,
  changes: readonly { path: string }[],
): string {
  if (id === null) return 'Nothing to change.\n';
  const paths = changes.map(({ path }) => `changed ${terminalText(path)}\n`).join('');
  return `${paths}To undo it:\n  ${command} --rollback ${id}\n`;
}
