import { readlinkSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { Hyper2kvmError } from '../errors/error.js';
import { findProgram } from './find-program.js';
import { ownPrograms } from './own-programs.js';
import { run } from './run.js';

/** What a confined program can see of the host beside programs and libraries; all paths are absolute. */
export interface Confinement {
  /** Files and directories that it may read. */
  readable?: readonly string[];
  /** Directories that it may write to. If one is inside the other, the inner path takes precedence. */
  writable: readonly string[];
  /** Devices in addition to null, zero, full, random and tty; missing ones are ignored. */
  devices?: readonly string[];
  /** A private /tmp, where libguestfs puts its sockets if it runs as root. */
  temporary?: boolean;
}

/** Whether tools run under bubblewrap here. */
export interface SandboxState {
  kind: 'bubblewrap' | 'none';
  /**
   * The obstacle to using bubblewrap: it is not installed, or it cannot create namespaces here. Null if it
   * works.
   */
  obstacle: 'missing' | 'refused' | null;
  /** Why it is used or not, for people. */
  reason: string;
}

const PROBE_SECONDS = 10;

/** If available (bubblewrap 0.8 and later), prevents programs inside from creating namespaces. */
const NO_NAMESPACES = ['--unshare-user', '--disable-userns'];
let probed: Promise<SandboxState & { namespaces: readonly string[] }> | undefined;

/**
 * Probes bubblewrap once in the life of this process: it may be missing, or user namespaces may be disabled
 * (a container, a kernel setting). Never rejects.
 */
export async function probeSandbox(): Promise<SandboxState> {
  const { kind, obstacle, reason } = await probe();
  return { kind, obstacle, reason };
}

function probe(): NonNullable<typeof probed> {
  probed ??= tryBubblewrap();
  return probed;
}

async function tryBubblewrap(): Promise<Awaited<NonNullable<typeof probed>>> {
  if ((await findProgram('bwrap')) === null)
    return { kind: 'none', obstacle: 'missing', reason: 'bwrap is not installed', namespaces: [] };
  const reason =
    'no network, nothing of the host but programs and the job’s files, no other processes, no privileges';
  // Root stays root inside: from a user namespace, files of other users could not be read.
  if (process.geteuid?.() !== 0) {
    const error = await tryArguments(NO_NAMESPACES);
    if (error === null) return { kind: 'bubblewrap', obstacle: null, reason, namespaces: NO_NAMESPACES };
  }
  const error = await tryArguments([]);
  return error === null
    ? { kind: 'bubblewrap', obstacle: null, reason, namespaces: [] }
    : { kind: 'none', obstacle: 'refused', reason: whyNot(error), namespaces: [] };
}

async function tryArguments(namespaces: readonly string[]): Promise<unknown> {
  try {
    await run('true', [], {
      wrapper: [
        ...withoutCapabilities(),
        'bwrap',
        ...namespaces,
        ...bubblewrapArguments({ writable: [] }),
        '--',
      ],
      timeoutSeconds: PROBE_SECONDS,
    });
    return null;
  } catch (error) {
    return error;
  }
}

function whyNot(error: unknown): string {
  if (!(error instanceof Hyper2kvmError)) return String(error);
  const said = error.cause instanceof Error ? error.cause.message : error.message;
  return said.replace(/^bwrap: /, '').slice(0, 200);
}

/**
 * Returns what to put before a program to start it confined: bubblewrap with its options if that works, and
 * in any case the removal of the service's capability (CAP_LEASE), which no tool needs.
 */
export async function sandboxPrefix(confinement: Confinement): Promise<string[]> {
  const { kind, namespaces } = await probe();
  const bubblewrap =
    kind === 'none' ? [] : ['bwrap', ...namespaces, ...bubblewrapArguments(confinement), '--'];
  return [...withoutCapabilities(), ...bubblewrap];
}

/** bubblewrap refuses to start for a user who has capabilities. For root, its arguments restrict them. */
function withoutCapabilities(): string[] {
  if (process.geteuid?.() === 0) return [];
  return ['setpriv', '--inh-caps=-all', '--ambient-caps=-all', '--'];
}

/** Directories of programs and their libraries in the various distributions. */
const PROGRAMS = ['/usr', '/opt', '/nix/store'];
/** Links into /usr, or directories if /usr is not merged. */
const ROOT_NAMES = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
const LOADER = ['/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/ld.so.conf.d', '/etc/alternatives'];

/**
 * Returns the options for bubblewrap 0.4 and later (bwrap(1)). The order matters, because later mounts cover
 * earlier ones. The root is empty: no /etc except for the loader, no /run with its sockets, no home
 * directories, no other jobs.
 */
export function bubblewrapArguments({
  readable = [],
  writable,
  devices = [],
  temporary = false,
}: Confinement): string[] {
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
    ...LOADER.flatMap(readOnly),
    ...(temporary ? ['--tmpfs', '/tmp'] : []),
    ...['--dev', '/dev'],
    ...['--proc', '/proc'],
    ...devices.flatMap((device) => ['--dev-bind-try', device, device]),
    ...ownPrograms(isShown).flatMap(readOnly),
    ...[
      ...readable.map((path) => ({ option: '--ro-bind', path })),
      ...writable.map((path) => ({ option: '--bind', path })),
    ]
      // A directory comes before its contents; the sort is stable.
      .sort((a, b) => a.path.length - b.path.length)
      .flatMap(({ option, path }) => [option, path, path]),
    ...['--remount-ro', '/'],
    ...privileges(),
  ];
}

function isShown(path: string): boolean {
  return [...PROGRAMS, ...ROOT_NAMES, ...LOADER].some(
    (shown) => path === shown || path.startsWith(`${shown}/`),
  );
}

function readOnly(path: string): string[] {
  return ['--ro-bind-try', path, path];
}

function rootName(path: string): string[] {
  try {
    return ['--symlink', readlinkSync(path), path];
  } catch {
    // It is not a link, or does not exist.
    return readOnly(path);
  }
}

/**
 * Drops root's capabilities, with which the mounts could be changed, except those for reading files of other
 * users.
 */
function privileges(): string[] {
  if (process.geteuid?.() !== 0) return [];
  return ['--cap-drop', 'ALL', '--cap-add', 'CAP_DAC_OVERRIDE', '--cap-add', 'CAP_DAC_READ_SEARCH'];
}
