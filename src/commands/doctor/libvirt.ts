import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../files/exists.js';
import type { User } from '../../host/users.js';
import { DEFAULT_NETWORK, LIBVIRT_URI, readLibvirtFacts } from '../../machine/libvirt-host.js';
import { shellWord } from '../../text/format.js';
import { aclEntry, closedDirectories, pathTo } from '../../tools/acl.js';
import { run } from '../../tools/run.js';
import { type Check, type Finding, ok, warn } from './check.js';

/** Checks whether a delivered VM can be started in place: libvirt's QEMU runs as a separate user. */
export const checkLibvirt: Check = async ({ config, signal }) => {
  const { isInstalled, user, network, isNetworkActive } = await readLibvirtFacts(signal);
  if (!isInstalled || user === null)
    return [ok('libvirt', 'not installed; only needed to start the VMs on this host')];
  const { archive } = config.spool;
  return [
    await accessFinding(archive, user, signal),
    isNetworkActive === null
      ? warn('libvirt network', 'libvirt does not answer', 'systemctl start libvirtd, or run this as root.')
      : networkFinding(network, isNetworkActive),
  ];
};

/** Checks the path to `archive` and to the newest bundle in it. */
export async function accessFinding(archive: string, user: User, signal: AbortSignal): Promise<Finding> {
  if (!(await exists(archive)))
    return ok('libvirt access', `${archive}: opened by the daemon when it delivers`);
  const newest = await newestBelow(archive, 2);
  const closed = await closedDirectories(user, pathTo(newest), signal);
  const inside = closed.filter((path) => path === archive || path.startsWith(`${archive}/`));
  const above = closed.filter((path) => !inside.includes(path));
  const name = 'libvirt access';
  if (closed.length > 0) {
    const entry = aclEntry(user);
    const place = shellWord(archive);
    const fixes = [
      ...(above.length === 0 ? [] : [`setfacl -m ${entry} ${above.map(shellWord).join(' ')}`]),
      `setfacl -m ${aclEntry(user, true)} ${place}`,
      // The archive, its days and their bundles.
      ...(newest === archive ? [] : [`find ${place} -maxdepth 2 -type d -exec setfacl -m ${entry} {} +`]),
    ];
    return warn(name, `${closed.join(', ')}: ${user.name} may not pass through`, fixes.join(' && '));
  }
  if (process.getuid?.() !== 0 || (await mayEnter(newest, user, signal)))
    return ok(name, `${user.name} may pass through to ${newest}`);
  return warn(
    name,
    `${newest}: ${user.name} cannot enter it, although modes and access control lists allow it`,
    'Check its mount options, and AppArmor or SELinux.',
  );
}

/** Pure. */
export function networkFinding(network: string | null, isActive: boolean): Finding {
  const name = 'libvirt network';
  if (network === null)
    return warn(
      name,
      'there is none: VMs get QEMU’s user network, in which they cannot be reached',
      `virsh -c ${LIBVIRT_URI} net-define /usr/share/libvirt/networks/${DEFAULT_NETWORK}.xml`,
    );
  if (isActive) return ok(name, `${network} is active`);
  const word = shellWord(network);
  return warn(
    name,
    `${network} is not active`,
    `virsh -c ${LIBVIRT_URI} net-start ${word} && virsh -c ${LIBVIRT_URI} net-autostart ${word}`,
  );
}

/** Asks the kernel as that user, which only root can do. */
async function mayEnter(directory: string, { uid, groups }: User, signal: AbortSignal): Promise<boolean> {
  const identity = [`--reuid=${uid}`, `--regid=${groups[0]}`, `--groups=${groups.join(',')}`];
  const { code } = await run('setpriv', [...identity, '--', 'test', '-x', directory], {
    signal,
    okCodes: [0, 1],
  });
  return code === 0;
}

/** Returns the directory with the last name, up to `depth` levels down. */
async function newestBelow(directory: string, depth: number): Promise<string> {
  if (depth === 0) return directory;
  // Missing or not readable by this user: the directory above is the answer.
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  const last = names
    .map(({ name }) => name)
    .sort()
    .at(-1);
  return last === undefined ? directory : newestBelow(join(directory, last), depth - 1);
}
