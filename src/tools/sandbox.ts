import { readlinkSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { Hyper2kvmError } from '../errors.js';
import { run } from './run.js';

/** What a confined program gets to see of the host beside programs and libraries; all paths are absolute. */
export interface Confinement {
  /** Files and directories that it may read. */
  readable?: readonly string[];
  /** Directories that it may write to. Where one lies inside the other, the inner path counts. */
  writable: readonly string[];
  /** Devices beside null, zero, full, random and tty; left out where they do not exist. */
  devices?: readonly string[];
  /** Also what a program needs that is made of the host's packages: see `hostView`. */
  host?: boolean;
}

/** Whether tools run under bubblewrap here, and why (not). */
export interface SandboxState {
  kind: 'bubblewrap' | 'none';
  reason: string;
}

const PROBE_SECONDS = 10;
let state: Promise<SandboxState> | undefined;

/**
 * Tries bubblewrap once in the life of this process: it may be missing, user namespaces may be off (a
 * container, `RestrictNamespaces=yes` of the systemd unit, a kernel setting). Never rejects.
 */
export function probeSandbox(): Promise<SandboxState> {
  state ??= tryBubblewrap();
  return state;
}

async function tryBubblewrap(): Promise<SandboxState> {
  try {
    await run('true', [], {
      wrapper: ['bwrap', ...bubblewrapArguments({ writable: [] }), '--'],
      timeoutSeconds: PROBE_SECONDS,
    });
    return {
      kind: 'bubblewrap',
      reason:
        'no network, nothing of the host but programs and the job’s files, no other processes, no privileges',
    };
  } catch (error) {
    return { kind: 'none', reason: whyNot(error) };
  }
}

function whyNot(error: unknown): string {
  if (!(error instanceof Hyper2kvmError)) return String(error);
  const said = error.cause instanceof Error ? error.cause.message : error.message;
  if (/No such file or directory.*bwrap|bwrap.*No such file|failed to execute bwrap/i.test(said))
    return 'bwrap is not installed';
  return said.replace(/^bwrap: /, '').slice(0, 200);
}

/**
 * What to put before a program to start it confined: bubblewrap with its options where that works, nothing
 * where it does not.
 */
export async function sandboxPrefix(confinement: Confinement): Promise<string[]> {
  const { kind } = await probeSandbox();
  if (kind === 'none') return [];
  const view = confinement.host === true ? await hostView() : [];
  return ['bwrap', ...bubblewrapArguments(confinement, view), '--'];
}

/** Programs with what they load, as distributions place them. */
const PROGRAMS = ['/usr', '/opt', '/nix/store'];
/** Links into /usr, or directories where that was not merged. */
const ROOT_NAMES = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
const LOADER = ['/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/ld.so.conf.d', '/etc/alternatives'];

/**
 * Options of bubblewrap 0.4 and later (bwrap(1)); the order counts, later mounts lie over earlier ones. The
 * root is empty: no /etc, no /run with its sockets, no homes, no other job. `view`: further options for the
 * system.
 */
export function bubblewrapArguments(
  { readable = [], writable, devices = [], host = false }: Confinement,
  view: readonly string[] = [],
): string[] {
  const relative = [...readable, ...writable].find((path) => !isAbsolute(path));
  if (relative !== undefined)
    throw new Hyper2kvmError('internal.unexpected', `the sandbox was given a relative path: ${relative}`);
  return [
    '--die-with-parent',
    '--unshare-net',
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    ...PROGRAMS.flatMap(readOnly),
    ...ROOT_NAMES.flatMap(rootName),
    ...(view.length > 0 ? view : LOADER.flatMap(readOnly)),
    ...['--dev', '/dev'],
    ...['--proc', '/proc'],
    ...devices.flatMap((device) => ['--dev-bind-try', device, device]),
    ...[
      ...readable.map((path) => ({ option: '--ro-bind', path })),
      ...writable.map((path) => ({ option: '--bind', path })),
    ]
      // A directory before what is in it; the sort is stable.
      .sort((a, b) => a.path.length - b.path.length)
      .flatMap(({ option, path }) => [option, path, path]),
    ...['--remount-ro', '/'],
    ...privileges(host),
  ];
}

function readOnly(path: string): string[] {
  return ['--ro-bind-try', path, path];
}

function rootName(path: string): string[] {
  try {
    return ['--symlink', readlinkSync(path), path];
  } catch {
    // No link, or not there at all.
    return readOnly(path);
  }
}

/** supermin makes libguestfs' appliance of the host's packages: their database, kernels and settings. */
const PACKAGES = ['/boot', '/var/lib/dpkg', '/var/lib/rpm', '/var/lib/pacman'];

/**
 * /etc as everybody may read it (root could read the rest, too), the packages, and temporary directories of
 * its own: libguestfs' sockets lie there for root.
 */
async function hostView(): Promise<string[]> {
  return [
    ...readOnly('/etc'),
    ...(await secretsIn('/etc')),
    ...PACKAGES.flatMap(readOnly),
    ...['--tmpfs', '/tmp', '--tmpfs', '/var/tmp'],
  ];
}

/** Options that hide what others than its owner may not read. */
async function secretsIn(directory: string): Promise<string[]> {
  const options: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isDirectory() && !entry.isFile()) continue;
    const path = join(directory, entry.name);
    const { mode } = await lstat(path);
    if (entry.isFile()) options.push(...((mode & 0o004) === 0 ? ['--ro-bind', '/dev/null', path] : []));
    else if ((mode & 0o005) === 0o005) options.push(...(await secretsIn(path)));
    else options.push('--tmpfs', path);
  }
  return options;
}

/**
 * Root would keep all of its capabilities, with which the mounts could be changed. It still has to read what
 * belongs to other users.
 */
const READS = ['CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH'];
/** supermin unpacks archives, as root with the owners that are in them. */
const UNPACKS = ['CAP_CHOWN', 'CAP_FOWNER'];

function privileges(host: boolean): string[] {
  if (process.geteuid?.() !== 0) return [];
  const kept = host ? [...READS, ...UNPACKS] : READS;
  return ['--cap-drop', 'ALL', ...kept.flatMap((capability) => ['--cap-add', capability])];
}
