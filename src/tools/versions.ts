import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Hyper2kvmError } from '../errors/error.js';
import type { Versions } from '../model/report.js';
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
 * last a string), so that neither its memory (20 MB) nor a crash affects the daemon.
 */
const LIBGUESTFS_SCRIPT = `
const koffi = require(process.argv[1]);
const library = koffi.load('libguestfs.so.0');
const Version = koffi.struct({ major: 'int64_t', minor: 'int64_t', release: 'int64_t', extra: 'char *' });
const handle = library.func('void *guestfs_create(void)')();
const version = koffi.decode(library.func('void *guestfs_version(void *)')(handle), Version);
process.stdout.write([version.major, version.minor, version.release].join('.') + (version.extra ?? ''));
`;

/**
 * Returns the version of libguestfs, e.g. `1.48.6`. Rejects with `report.libguestfs-missing` if the library
 * cannot be loaded.
 */
export async function libguestfsVersion(signal?: AbortSignal): Promise<string> {
  const koffi = createRequire(import.meta.url).resolve('koffi');
  try {
    const { stdout } = await run(process.execPath, ['-e', LIBGUESTFS_SCRIPT, koffi], {
      timeoutSeconds: 30,
      ...(signal === undefined ? {} : { signal }),
    });
    return stdout.toString();
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
  const [qemu, libguestfs] = await Promise.allSettled([
    qemuVersion('qemu-img', signal),
    libguestfsVersion(signal),
  ]);
  signal?.throwIfAborted();
  return {
    hyper2kvm: hyper2kvmVersion(),
    qemu: qemu.status === 'fulfilled' ? qemu.value : null,
    libguestfs: libguestfs.status === 'fulfilled' ? libguestfs.value : null,
  };
}
