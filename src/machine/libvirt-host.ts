import { findUser, type User } from '../host/users.js';
import { findProgram } from '../tools/find-program.js';
import { run } from '../tools/run.js';

/** The system's libvirt on this host, as far as this process may query it. */
export interface LibvirtHost {
  /** Whether `virsh` is installed. */
  isInstalled: boolean;
  /** The user that its QEMU runs as; null: no such user, so no system-wide libvirt. */
  user: User | null;
  /** The network that VMs get; null: libvirt reports that it has none. */
  network: string | null;
  /** Whether that network is active; null if libvirt cannot be queried. */
  isNetworkActive: boolean | null;
}

export const LIBVIRT_URI = 'qemu:///system';
/** libvirt's own network, which its packages define. */
export const DEFAULT_NETWORK = 'default';
/** From qemu.conf of Debian and Ubuntu, and of Fedora, RHEL and SUSE. */
const QEMU_USERS = ['libvirt-qemu', 'qemu'];
const VIRSH_SECONDS = 20;

/**
 * Returns the facts about libvirt. Rejects only because of `signal`: a libvirt that does not answer is
 * assumed to have its default network.
 */
export async function readLibvirtFacts(signal?: AbortSignal): Promise<LibvirtHost> {
  const user = await qemuUser();
  if ((await findProgram('virsh')) === null)
    return { isInstalled: false, user, network: DEFAULT_NETWORK, isNetworkActive: null };
  const [all, active] = await Promise.all([networks(['--all'], signal), networks([], signal)]);
  if (all === null || active === null)
    return { isInstalled: true, user, network: DEFAULT_NETWORK, isNetworkActive: null };
  const network = all.includes(DEFAULT_NETWORK) ? DEFAULT_NETWORK : (active[0] ?? all[0] ?? null);
  return { isInstalled: true, user, network, isNetworkActive: network !== null && active.includes(network) };
}

/** Returns the user that libvirt's QEMU runs as, or null. */
export async function qemuUser(): Promise<User | null> {
  for (const name of QEMU_USERS) {
    const user = await findUser(name);
    if (user !== null) return user;
  }
  return null;
}

/** Lists networks by the read-only connection, which is open to every user; null without an answer. */
async function networks(options: readonly string[], signal?: AbortSignal): Promise<string[] | null> {
  try {
    const { stdout } = await run(
      'virsh',
      ['--readonly', '--connect', LIBVIRT_URI, 'net-list', '--name', ...options],
      { timeoutSeconds: VIRSH_SECONDS, ...(signal === undefined ? {} : { signal }) },
    );
    return stdout
      .toString('utf8')
      .split('\n')
      .filter((name) => name !== '');
  } catch {
    signal?.throwIfAborted();
    // There is no daemon, or none for this process (the unit hides /run/libvirt).
    return null;
  }
}
