import { readdirSync, readlinkSync } from 'node:fs';
import { delimiter, isAbsolute } from 'node:path';
import { Hyper2kvmError } from '../errors/error.js';
import { run } from './run.js';

/** What a confined program gets to see of the host beside programs and libraries; all paths are absolute. */
export interface Confinement {
  /** Files and directories that it may read. */
  readable?: readonly string[];
  /** Directories that it may write to. Where one lies inside the other, the inner path counts. */
  writable: readonly string[];
  /** Devices beside null, zero, full, random and tty; left out where they do not exist. */
  devices?: readonly string[];
  /** A /tmp of its own: libguestfs puts its sockets there for root. */
  temporary?: boolean;
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
  return kind === 'none' ? [] : ['bwrap', ...bubblewrapArguments(confinement), '--'];
}

/** Programs with what they load, as distributions place them. */
const PROGRAMS = ['/usr', '/opt', '/nix/store'];
/** Links into /usr, or directories where that was not merged. */
const ROOT_NAMES = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
const LOADER = ['/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/ld.so.conf.d', '/etc/alternatives'];

/**
 * Options of bubblewrap 0.4 and later (bwrap(1)); the order counts, later mounts lie over earlier ones. The
 * root is empty: no /etc but for the loader, no /run with its sockets, no homes, no other job.
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
    ...otherPrograms().flatMap(readOnly),
    ...[
      ...readable.map((path) => ({ option: '--ro-bind', path })),
      ...writable.map((path) => ({ option: '--bind', path })),
    ]
      // A directory before what is in it; the sort is stable.
      .sort((a, b) => a.path.length - b.path.length)
      .flatMap(({ option, path }) => [option, path, path]),
    ...['--remount-ro', '/'],
    ...privileges(),
  ];
}

/** What is started confined, or starts in there (libguestfs starts QEMU and qemu-img). */
const CONFINED = /^(?:qemu-img|qemu-system-.+|gzip|xz|zstd)$/;

/** Directories of this process' own search path that have such a program and lie elsewhere: an operator's own builds. */
function otherPrograms(): string[] {
  const isShown = (path: string) =>
    [...PROGRAMS, ...ROOT_NAMES].some((shown) => path === shown || path.startsWith(`${shown}/`));
  const directories = (process.env.PATH ?? '').split(delimiter).filter((path) => isAbsolute(path));
  return [...new Set(directories)].filter(
    (path) => !isShown(path) && namesIn(path).some((name) => CONFINED.test(name)),
  );
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // A search path may name what does not exist or may not be read: nothing is started from there.
    return [];
  }
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

/**
 * Root would keep all of its capabilities, with which the mounts could be changed. It still has to read what
 * belongs to other users.
 */
function privileges(): string[] {
  if (process.geteuid?.() !== 0) return [];
  return ['--cap-drop', 'ALL', '--cap-add', 'CAP_DAC_OVERRIDE', '--cap-add', 'CAP_DAC_READ_SEARCH'];
}
