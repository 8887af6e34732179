import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
/** Every Debian has it, and it is nobody's. */
const REACHED = '/mnt';

/** A path in the repository as `asUser`'s programs find it; another path is itself. */
export function reached(path: string): string {
  const inside = relative(REPOSITORY, path);
  return inside.startsWith('..') ? path : join(REACHED, inside);
}

/**
 * Starts a program as another user, who finds the repository under `reached`, whatever private directory it
 * is in. `capabilities` as setpriv(1) takes them. Needs root.
 */
export function asUser(uid: number, gid: number, capabilities: string): string[] {
  const script = `mount --bind "$1" ${REACHED}; shift; exec "$@"`;
  return [
    ...['unshare', '--mount', '--propagation', 'slave', '--', 'sh', '-ec', script, 'sh', REPOSITORY],
    ...['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'],
    ...[
      `--inh-caps=${capabilities}`,
      `--ambient-caps=${capabilities}`,
      `--bounding-set=${capabilities}`,
      '--',
    ],
  ];
}
