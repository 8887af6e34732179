import { Hyper2kvmError } from '../errors/error.js';

/** A running guest as the user names it. What is null comes from ssh_config(5). */
export interface SshTarget {
  host: string;
  user: string | null;
  port: number | null;
  /** A file with a private key. */
  identity: string | null;
  /** A file with the host's key, instead of the user's and the system's. */
  knownHosts: string | null;
}

/**
 * The command line comes before ssh_config(5), so none of this can be undone there: the host's key must be
 * known, nothing is asked, nothing but the one connection is opened.
 */
const STRICT = [
  'StrictHostKeyChecking=yes',
  'UpdateHostKeys=no',
  'VerifyHostKeyDNS=no',
  'KnownHostsCommand=none',
  'NoHostAuthenticationForLocalhost=no',
  'BatchMode=yes',
  'ClearAllForwardings=yes',
  'ForwardAgent=no',
  'ForwardX11=no',
  'Tunnel=no',
  'PermitLocalCommand=no',
  'RemoteCommand=none',
  'RequestTTY=no',
  'ForkAfterAuthentication=no',
  'EscapeChar=none',
  'LogLevel=ERROR',
  'ConnectTimeout=20',
  'ServerAliveInterval=15',
  'ServerAliveCountMax=4',
];

/** Returns the options of ssh(1) for a target, without its name. Throws `usage.invalid`. */
export function sshOptions({ user, port, identity, knownHosts }: Omit<SshTarget, 'host'>): string[] {
  const files =
    knownHosts === null
      ? []
      : [`UserKnownHostsFile=${fileWord(knownHosts)}`, 'GlobalKnownHostsFile=/dev/null'];
  return [
    ...[...STRICT, ...files].flatMap((option) => ['-o', option]),
    ...(user === null ? [] : ['-l', user]),
    ...(port === null ? [] : ['-p', String(port)]),
    ...(identity === null ? [] : ['-i', identity, '-o', 'IdentitiesOnly=yes']),
  ];
}

/** Checks a host's name, which becomes an argument of ssh(1). Throws `usage.invalid`. */
export function assertHost(host: string): void {
  if (/^[A-Za-z0-9_[][\w.:%[\]-]*$/.test(host)) return;
  throw new Hyper2kvmError('usage.invalid', `${JSON.stringify(host)} is not the name of a host`, {
    advice: 'Give a name, an address or a Host of ssh_config(5), and the user by --user.',
  });
}

/** ssh splits the value at blanks and expands `%`, `~` and `${…}` in it. */
function fileWord(path: string): string {
  if (!/["\n\\$]/.test(path) && path.startsWith('/')) return `"${path.replaceAll('%', '%%')}"`;
  throw new Hyper2kvmError('usage.invalid', `--known-hosts ${path} cannot be passed to ssh`, {
    advice: 'Copy the file to an absolute path without quotes, backslashes and dollar signs.',
  });
}
