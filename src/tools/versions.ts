import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { Versions } from '../model/report.js';
import { findProgram } from './find-program.js';
import { run } from './run.js';

/** Returns the version of this program from its package.json. */
export function hyper2kvmVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

/**
 * Returns the version of a QEMU program, e.g. `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`. Rejects like `run`.
 */
export async function qemuVersion(program: string, signal?: AbortSignal): Promise<string> {
  const { stdout } = await run(program, ['--version'], {
    timeoutSeconds: 20,
    ...(signal === undefined ? {} : { signal }),
  });
  return /version (.+)/.exec(stdout.toString())?.[1]?.trim() ?? 'unknown';
}

/**
 * Loads libguestfs in a separate process and prints its version (guestfs-structs: four 64-bit fields, the
 * last a string) and its file, so that neither its memory (20 MB) nor a crash affects the daemon.
 */
const LIBGUESTFS_SCRIPT = `
const koffi = require(process.argv[1]);
const library = koffi.load('libguestfs.so.0');
const Version = koffi.struct({ major: 'int64_t', minor: 'int64_t', release: 'int64_t', extra: 'char *' });
const handle = library.func('void *guestfs_create(void)')();
const version = koffi.decode(library.func('void *guestfs_version(void *)')(handle), Version);
const text = [version.major, version.minor, version.release].join('.') + (version.extra ?? '');
const file = /\\/\\S*\\/libguestfs\\.so\\S*/.exec(require('fs').readFileSync('/proc/self/maps', 'utf8'));
process.stdout.write(text + '\\n' + (file ?? ''));
`;

interface VersionOfFile {
  version: string;
  /** The absolute path of the program or library; null if unknown. */
  file: string | null;
}

/**
 * Returns the version of libguestfs, e.g. `1.48.6`. Rejects with `report.libguestfs-missing` if the library
 * cannot be loaded.
 */
export async function libguestfsVersion(signal?: AbortSignal): Promise<string> {
  return (await askLibguestfs(signal)).version;
}

async function askLibguestfs(signal?: AbortSignal): Promise<VersionOfFile> {
  const koffi = createRequire(import.meta.url).resolve('koffi');
  try {
    const { stdout } = await run(process.execPath, ['-e', LIBGUESTFS_SCRIPT, koffi], {
      timeoutSeconds: 30,
      ...(signal === undefined ? {} : { signal }),
    });
    const [version = '', file = ''] = stdout.toString().split('\n');
    return { version, file: file === '' ? null : file };
  } catch (error) {
    signal?.throwIfAborted();
    throw new Hyper2kvmError('report.libguestfs-missing', 'libguestfs.so.0 cannot be loaded', {
      cause: error,
    });
  }
}

/**
 * Returns the versions of the tools for the report. A tool that does not answer is `null`: a finished
 * conversion must not fail because of it.
 */
export async function toolVersions(signal?: AbortSignal): Promise<Versions> {
  const file = await findProgram('qemu-img');
  const [qemu, libguestfs] = await Promise.allSettled([
    whileUnchanged('qemu', async () => ({ version: await qemuVersion('qemu-img', signal), file }), file),
    whileUnchanged('libguestfs', () => askLibguestfs(signal)),
  ]);
  signal?.throwIfAborted();
  return {
    hyper2kvm: hyper2kvmVersion(),
    qemu: qemu.status === 'fulfilled' ? qemu.value : null,
    libguestfs: libguestfs.status === 'fulfilled' ? libguestfs.value : null,
  };
}

/** By tool: its last answer, and the file that gave it, as it then was. */
const answers = new Map<string, { version: string; file: string; identity: string }>();

/**
 * Returns the last answer as long as its file is the same: an upgrade replaces the file, and asking takes two
 * processes. `file` is given where it is known beforehand.
 */
async function whileUnchanged(
  tool: string,
  ask: () => Promise<VersionOfFile>,
  file?: string | null,
): Promise<string> {
  const last = answers.get(tool);
  const isSame = last !== undefined && (file === undefined || file === last.file);
  if (isSame && (await identityOf(last.file)) === last.identity) return last.version;
  answers.delete(tool);
  const answer = await ask();
  const identity = answer.file === null ? null : await identityOf(answer.file);
  if (answer.file !== null && identity !== null)
    answers.set(tool, { version: answer.version, file: answer.file, identity });
  return answer.version;
}

/** Returns what differs when a file is replaced or written to; null if it is gone. */
async function identityOf(file: string): Promise<string | null> {
  try {
    const { dev, ino, size, ctimeNs } = await stat(file, { bigint: true });
    return `${dev}:${ino}:${size}:${ctimeNs}`;
  } catch (error) {
    if (isErrorCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}
