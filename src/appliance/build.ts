import { lstat, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../errors/error.js';
import { exists } from '../files/exists.js';
import { run } from '../tools/run.js';
import { withUnpackedKernel } from './unpacked-kernel.js';

/**
 * Where distributions install what supermin builds libguestfs's appliance from; LIBGUESTFS_PATH overrides it.
 */
const PLACES = [
  '/usr/lib/x86_64-linux-gnu/guestfs',
  '/usr/lib/aarch64-linux-gnu/guestfs',
  '/usr/lib64/guestfs',
  '/usr/lib/guestfs',
];
const CPUS: Partial<Record<NodeJS.Architecture, string>> = { x64: 'x86_64', arm64: 'aarch64' };
/**
 * Its presence makes libguestfs use kernel, initrd and root beside it as they are (guestfs(3),
 * LIBGUESTFS_PATH).
 */
const FIXED = 'README.fixed';
/** Usually under a minute, more on a busy machine. */
const BUILD_SECONDS = 900;

/**
 * Returns the directory of an appliance that is built from the host's current packages, and built again only
 * if they changed. It is built here, where nothing of a drop is open, and not by libguestfs on launch: there
 * it is confined and has no access to packages, and in bubblewrap's user namespace everything in the
 * appliance would belong to nobody. `cacheDirectory` is libguestfs's own cache, whose layout is used; `scratch`
 * is a directory for supermin's temporary files, which is made and removed here. Errors:
 * `guest.launch-failed`, `tool.*`.
 */
export async function buildAppliance(
  cacheDirectory: string,
  scratch: string,
  signal: AbortSignal,
): Promise<string> {
  const places = process.env.LIBGUESTFS_PATH?.split(':') ?? PLACES;
  for (const place of places) if (await exists(join(place, FIXED))) return place;
  const place = await firstWith('supermin.d', places);
  const own = await ownDirectory(cacheDirectory);
  const built = join(own, 'appliance.d');
  const cpu = CPUS[process.arch] ?? process.arch;
  const flags = ['--if-newer', '--lock', join(own, 'lock'), '--copy-kernel', '-f', 'ext2', '--host-cpu', cpu];
  // supermin leaves its temporary files when it is killed.
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch);
  try {
    await run('supermin', ['--build', ...flags, join(place, 'supermin.d'), '-o', built], {
      signal,
      timeoutSeconds: BUILD_SECONDS,
      env: { TMPDIR: scratch },
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  if (!(await exists(join(built, FIXED))))
    await writeFile(
      join(built, FIXED),
      'Built by supermin for hyper2kvm, which builds it again when needed.\n',
    );
  return withUnpackedKernel(built, own, signal);
}

async function firstWith(name: string, places: readonly string[]): Promise<string> {
  for (const place of places) if (await exists(join(place, name))) return place;
  throw new Hyper2kvmError('guest.launch-failed', `no ${name} of libguestfs in ${places.join(', ')}`, {
    advice: 'Install libguestfs with its appliance, or set LIBGUESTFS_PATH to the directory that has it.',
  });
}

/**
 * Returns our directory in the cache after checking its owner: by default, the cache is writable for
 * everybody, so a directory of this name may belong to another user.
 */
async function ownDirectory(cacheDirectory: string): Promise<string> {
  const user = process.geteuid?.();
  const path = join(cacheDirectory, `.guestfs-${user}`);
  await mkdir(path, { recursive: true, mode: 0o755 });
  const stats = await lstat(path);
  if (stats.isDirectory() && stats.uid === user && (stats.mode & 0o022) === 0) return path;
  throw new Hyper2kvmError('guest.launch-failed', `${path} does not belong to this user alone`, {
    advice: `Remove it, or set LIBGUESTFS_CACHEDIR to a directory of your own.`,
  });
}
