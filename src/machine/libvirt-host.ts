import { findUser, type User } from '../host/users.js';
import { findProgram } from '../tools/find-program.js';
import { run } from '../tools/run.js';

/** The system's libvirt on this host, as far as this process may ask. */
export interface LibvirtHost {
  /** `virsh` is there. */
  isInstalled: boolean;
  /** Whom its QEMU runs as; null: no such user, so no libvirt for the whole system. */
  user: User | null;
  /** The network that VMs get; null: libvirt answers that it has none. */
  network: string | null;
  /** Whether that network runs; null where libvirt cannot be asked. */
  isNetworkActive: boolean | null;
}

export const LIBVIRT_URI = 'qemu:///system';
/** libvirt's own, which its packages define. */
export const DEFAULT_NETWORK = 'default';
/** By qemu.conf of Debian and Ubuntu, and of Fedora, RHEL and SUSE. */
const QEMU_USERS = ['libvirt-qemu', 'qemu'];
const VIRSH_SECONDS = 20;

/**
 * Never rejects but by `signal`: a libvirt that does not answer is taken for one with its default network.
 */
export async function lookAtLibvirt(signal?: AbortSignal): Promise<LibvirtHost> {
  const user = await qemuUser();
  if ((await findProgram('virsh')) === null)
    return { isInstalled: false, user, network: DEFAULT_NETWORK, isNetworkActive: null };
  const [all, active] = await Promise.all([networks(['--all'], signal), networks([], signal)]);
  if (all === null || active === null)
    return { isInstalled: true, user, network: DEFAULT_NETWORK, isNetworkActive: null };
  const network = all.includes(DEFAULT_NETWORK) ? DEFAULT_NETWORK : (active[0] ?? all[0] ?? null);
  return { isInstalled: true, user, network, isNetworkActive: network !== null && active.includes(network) };
}

/** Returns the user that libvirt's QEMU runs as, or null where there is none. */
export async function qemuUser(): Promise<User | null> {
  for (const name of QEMU_USERS) {
    const user = await findUser(name);
    if (user !== null) return user;
  }
  return null;
}

/** The read-only connection is open to every user; null where there is no answer. */
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
    // No daemon, or none for this process (the unit hides /run/libvirt).
    return null;
  }
}
