import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { shellQuote } from './shell-quote.js';
import type { SshSession } from './ssh-session.js';

/** Where ESXi has its datastores. Nothing elsewhere on the host is read. */
const VOLUMES = '/vmfs/volumes/';

export interface FoundVm {
  /** Path of its .vmx. */
  path: string;
  /** Its numbers on this host; empty if it is not registered there. */
  ids: string[];
}

interface Registered {
  id: string;
  name: string;
  path: string;
}

/**
 * Finds a VM by the path of its .vmx (`/vmfs/volumes/ds/web01/web01.vmx`, `[ds] web01/web01.vmx`) or by its name.
 * Errors: `remote.not-found`, `remote.ambiguous`, `remote.not-allowed`, those of the session.
 */
export async function findVm(session: SshSession, wanted: string, signal: AbortSignal): Promise<FoundVm> {
  const list = await session.command('vim-cmd vmsvc/getallvms', 'listing the VMs', signal);
  const registered = parseVmList(list.toString('utf8'));
  const path = vmxPath(wanted);
  if (path !== null) {
    const real = await realPath(session, path, signal);
    const ids: string[] = [];
    // A datastore has two paths: by its label, and by its UUID.
    for (const other of registered.filter((one) => one.path.split('/').at(-1) === path.split('/').at(-1)))
      if (other.path === path || (await realPath(session, other.path, signal).catch(() => null)) === real)
        ids.push(other.id);
    return { path, ids };
  }
  const [vm, ...others] = registered.filter(({ name }) => name === wanted);
  if (vm === undefined)
    throw new Hyper2kvmError(
      'remote.not-found',
      `${session.server} has no VM of the name “${printable(wanted)}” (vim-cmd vmsvc/getallvms)`,
    );
  if (others.length > 0) {
    const paths = [vm, ...others].map((one) => printable(one.path)).join(', ');
    throw new Hyper2kvmError('remote.ambiguous', `several VMs are called “${printable(wanted)}”: ${paths}`);
  }
  return { path: vm.path, ids: [vm.id] };
}

/** Throws `remote.powered-on` for a VM that runs or is suspended. */
export async function refuseRunning(
  session: SshSession,
  { path, ids }: FoundVm,
  signal: AbortSignal,
): Promise<void> {
  for (const id of ids) {
    const output = await session.command(
      `vim-cmd vmsvc/power.getstate ${id}`,
      'asking for the power state',
      signal,
    );
    const state = output.toString('utf8').trim().split('\n').at(-1)?.trim();
    if (state === 'Powered off') continue;
    throw new Hyper2kvmError(
      'remote.powered-on',
      `${printable(path)} is not off: vim-cmd says “${printable(state ?? '', 60)}”`,
    );
  }
  // A VM of another host on the same datastore, or one that this host does not list.
  const directory = shellQuote(path.slice(0, path.lastIndexOf('/')));
  const locks = `cd ${directory} && for f in *.lck .lck-*; do if [ -e "$f" ]; then echo locked; break; fi; done`;
  const found = await session.command(locks, `looking for locks beside ${printable(path)}`, signal);
  if (found.length > 0)
    throw new Hyper2kvmError(
      'remote.locked',
      `there is a lock (.lck) in the directory of ${printable(path)}: a host has the VM open`,
      { retryable: true },
    );
}

/** Returns the path of a .vmx, or null for the name of a VM. Throws for a path that is none below the datastores. */
function vmxPath(wanted: string): string | null {
  const datastore = /^\[([^\]/]+)\] *(.+\.vmx)$/i.exec(wanted);
  const path = datastore === null ? wanted : `${VOLUMES}${datastore[1]}/${datastore[2]}`;
  if (!path.startsWith('/')) return null;
  const isVmx = path.startsWith(VOLUMES) && /\.vmx$/i.test(path) && !path.split('/').includes('..');
  if (isVmx) return path;
  throw new Hyper2kvmError(
    'remote.not-allowed',
    `[source] vm is neither the name of a VM nor a .vmx below ${VOLUMES}: ${printable(path)}`,
  );
}

/** Returns where a file really is. Errors: `remote.not-found`; `remote.not-allowed` outside of the datastores. */
export async function realPath(session: SshSession, path: string, signal: AbortSignal): Promise<string> {
  // busybox prints nothing and fails without a word where there is nothing.
  const command = `readlink -f ${shellQuote(path)} || true`;
  const real = (await session.command(command, printable(path), signal)).toString('utf8').replace(/\n$/, '');
  if (real === '')
    throw new Hyper2kvmError('remote.not-found', `${session.server} has no file ${printable(path)}`);
  if (real.startsWith(VOLUMES)) return real;
  throw new Hyper2kvmError(
    'remote.not-allowed',
    `${printable(path)} is not in a datastore: it is ${printable(real)}`,
  );
}

/**
 * Parses what `vim-cmd vmsvc/getallvms` prints: `Vmid  Name  File  Guest OS  Version  Annotation`, with columns as
 * wide as their content. Lines of an annotation that has several are passed over.
 */
export function parseVmList(text: string): Registered[] {
  const found: Registered[] = [];
  for (const line of text.split('\n').slice(1)) {
    const id = /^\d{1,9}(?= )/.exec(line)?.[0];
    if (id === undefined) continue;
    const columns = line.slice(id.length).trimStart();
    const at = columns.indexOf('  [');
    const end = columns.search(/\.vmx {2}/i);
    if (at < 1 || end < at) continue;
    const file = /^\[([^\]/]+)\] ([^/].*)$/.exec(columns.slice(at, end + '.vmx'.length).trim());
    if (file !== null)
      found.push({ id, name: columns.slice(0, at).trimEnd(), path: `${VOLUMES}${file[1]}/${file[2]}` });
  }
  return found;
}
