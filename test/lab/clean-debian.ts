import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';
import { cached } from './cache.ts';
import { hexFrom } from './layout.ts';
import { mirror } from './packages.ts';

/**
 * A directory with a Debian 12 that has booting systemd and nothing of ours, for overlays only. apt's archive
 * in it holds `packages` with all that they need, downloaded and not installed: installing them needs no
 * network. Needs root; the first time the network and a minute.
 */
export async function cleanDebian(packages: readonly string[]): Promise<string> {
  const key = hexFrom(JSON.stringify(packages)).slice(0, 16);
  return cached(`clean-bookworm-${key}`, async (scratch) => {
    const root = join(scratch, 'root');
    const download = `apt-get install -q -y --no-install-recommends --download-only ${packages.join(' ')}`;
    await run(
      'mmdebstrap',
      [
        ...['--quiet', '--mode=root', '--variant=minbase', '--include=systemd-sysv,dbus'],
        // apt's lists and archive stay.
        '--skip=cleanup/apt',
        `--customize-hook=chroot "$1" ${download}`,
        ...['bookworm', root, await mirror()],
      ],
      { timeoutSeconds: 1_800 },
    );
    return root;
  });
}
