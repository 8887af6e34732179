import { Hyper2kvmError } from '../errors/error.js';
import { lastLines } from '../text/lines.js';
import type { RemoteShell } from './shell.js';

/**
 * Prints the programs that cannot do what our scripts ask of them; those of busybox cannot. An option is tried
 * together with one that only prints something, so nothing is changed. blkid is known by its version instead:
 * before 2.30 it prints that and exits with 4.
 */
const SCRIPT = `
need() { name=$1; shift; "$@" > /dev/null 2>&1 < /dev/null || echo "$name"; }
linux_blkid() { blkid -v | grep util-linux; }
need 'readlink (coreutils)' readlink -m -- /
need 'cp (coreutils)' cp --attributes-only --help
need 'mv (coreutils)' mv -T --help
need 'sync (coreutils 8.24)' sync --data --help
need 'find (findutils)' find / -maxdepth 0 -printf ''
need 'tar (GNU tar)' tar --format=gnu --numeric-owner --one-file-system --help
need 'blkid (util-linux)' linux_blkid
need 'flock (util-linux)' flock --version
need sha256sum command -v sha256sum
`;

/** Rejects with `live.unsupported` if the host's programs cannot do what the rest asks of them. */
export async function requirePrograms(shell: Pick<RemoteShell, 'run'>): Promise<void> {
  const { code, stdout, stderr } = await shell.run(SCRIPT, { maxBytes: MAX_BYTES });
  const missing = stdout
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
  if (missing.length > 0)
    throw new Hyper2kvmError(
      'live.unsupported',
      `the host lacks these programs, or they cannot do what is asked of them: ${missing.join(', ')}`,
    );
  if (code !== 0)
    throw new Hyper2kvmError('live.unsupported', `the host runs no script: ${lastLines(stderr)}`);
}

const MAX_BYTES = 64 * 1024;
