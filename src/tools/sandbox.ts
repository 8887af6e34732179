import { isAbsolute } from 'node:path';
import { Hyper2kvmError } from '../errors.js';
import { run } from './run.js';

/** What a confined program may do beside reading files. */
export interface Confinement {
  /** Absolute directories that it may write to; everything else is read-only. */
  writable: readonly string[];
  /** Devices beside null, zero, full, random and tty; left out where they do not exist. */
  devices?: readonly string[];
}

/** Whether tools run under bubblewrap here, and why (not). */
export interface SandboxState {
  kind: 'bubblewrap' | 'none';
  reason: string;
}

const PROBE_SECONDS = 10;
let state: Promise<SandboxState> | undefined;

/**
 * Tries bubblewrap once in the life of this process: it may be missing, user namespaces may be off (a container, `RestrictNamespaces=yes` of the systemd unit, a
 * kernel setting). Never rejects.
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
      reason: 'no network, all read-only but the job’s directory, no other processes, no privileges',
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

/** What to put before a program to start it confined: bubblewrap with its options where that works, nothing where it does not. */
export async function sandboxPrefix(confinement: Confinement): Promise<string[]> {
  const { kind } = await probeSandbox();
  return kind === 'none' ? [] : ['bwrap', ...bubblewrapArguments(confinement), '--'];
}

/** Pure. Options of bubblewrap 0.4 and later (bwrap(1)); the order counts, later mounts lie over earlier ones. */
export function bubblewrapArguments({ writable, devices = [] }: Confinement): string[] {
  const relative = writable.find((path) => !isAbsolute(path));
  if (relative !== undefined)
    throw new Hyper2kvmError('internal.unexpected', `the sandbox was given a relative path: ${relative}`);
  return [
    '--die-with-parent',
    '--unshare-net',
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    ...['--ro-bind', '/', '/'],
    ...['--dev', '/dev'],
    ...['--proc', '/proc'],
    ...devices.flatMap((device) => ['--dev-bind-try', device, device]),
    ...writable.flatMap((path) => ['--bind', path, path]),
    ...privileges(),
  ];
}

/** Root would keep all of its capabilities, with which the mounts could be changed. It still has to read what belongs to other users. */
function privileges(): string[] {
  if (process.geteuid?.() !== 0) return [];
  return ['--cap-drop', 'ALL', '--cap-add', 'CAP_DAC_OVERRIDE', '--cap-add', 'CAP_DAC_READ_SEARCH'];
}
