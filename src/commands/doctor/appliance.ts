import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../tools/run.js';
import { libguestfsVersion } from '../../tools/versions.js';
import { type Check, type Finding, fail, ok, probe } from './check.js';

export const checkLibguestfs: Check = async ({ signal }) =>
  Promise.all([
    probe('libguestfs', 'apt install libguestfs0', () => libguestfsVersion(signal)),
    probe('supermin', 'apt install supermin', async () => {
      const { stdout } = await run('supermin', ['--version'], { signal, timeoutSeconds: 20 });
      return stdout.toString().trim();
    }),
  ]);

/**
 * supermin boots the newest kernel in /boot that has its modules. Ubuntu makes kernels readable for root
 * only.
 */
export const checkKernel: Check = async () => [await kernelFinding('/boot', '/lib/modules')];

/** `readable` applies to this user. */
export async function kernelFinding(
  boot: string,
  modules: string,
  readable: (kernel: string) => Promise<boolean> = (kernel) => allowed(kernel, constants.R_OK),
): Promise<Finding> {
  const names = (await namesIn(boot)).filter((name) => /^vmlinu[xz]-/.test(name));
  const usable: string[] = [];
  const unreadable: string[] = [];
  for (const name of names) {
    const version = name.replace(/^vmlinu[xz]-/, '');
    if (!(await allowed(join(modules, version), constants.R_OK))) continue;
    const kernel = join(boot, name);
    if (await readable(kernel)) usable.push(kernel);
    else unreadable.push(kernel);
  }
  if (usable.length > 0) return ok('appliance kernel', usable.sort().at(-1)!);
  if (unreadable.length > 0) {
    const kernel = unreadable.sort().at(-1)!;
    const fix = `dpkg-statoverride --update --add root root 0644 ${kernel}`;
    return fail('appliance kernel', `${kernel} cannot be read by this user`, fix);
  }
  return fail('appliance kernel', `no kernel with its modules in ${boot}`, 'apt install linux-image-amd64');
}

/**
 * Where the unit makes libguestfs build its appliance. Used if the daemon's user runs doctor outside the
 * unit.
 */
const SERVICE_CACHE = '/var/cache/hyper2kvm';
/** supermin creates these three, in this order, and builds them again when the host's packages changed. */
const APPLIANCE_FILES = ['kernel', 'initrd', 'root'] as const;

/**
 * Checks the cache in which supermin keeps the built appliance (about 500 MB); the search order is that of
 * appliance/appliance.ts.
 */
export const checkApplianceCache: Check = async ({ env }) => {
  const uid = process.getuid?.() ?? 0;
  const service = await stat(SERVICE_CACHE).catch(() => null);
  const fallback = service?.uid === uid ? SERVICE_CACHE : '/var/tmp';
  return [await applianceCacheFinding(env.LIBGUESTFS_CACHEDIR ?? env.CACHE_DIRECTORY ?? fallback, uid)];
};

/**
 * `uid` is the owner of the appliance. libguestfs does not repair an appliance that is half built or whose
 * kernel is gone: it fails to start each time.
 */
export async function applianceCacheFinding(directory: string, uid: number): Promise<Finding> {
  const name = 'appliance cache';
  if (!(await allowed(directory, constants.W_OK | constants.X_OK)))
    return fail(
      name,
      `${directory} cannot be written to`,
      `mkdir -p ${directory}, or set LIBGUESTFS_CACHEDIR`,
    );
  const owned = join(directory, `.guestfs-${uid}`);
  const built = join(owned, 'appliance.d');
  if (!(await allowed(built, constants.F_OK)))
    return ok(name, `${directory}; not built yet, the first job takes a minute longer`);
  const times: Date[] = [];
  for (const file of APPLIANCE_FILES) {
    const facts = await stat(join(built, file)).catch(() => null);
    if (facts === null || facts.size === 0)
      return fail(name, `${join(built, file)} is missing or empty: a stale appliance`, `rm -r ${owned}`);
    times.push(facts.mtime);
  }
  return ok(name, `${built}, of ${times.at(-1)!.toISOString().slice(0, 10)}`);
}

async function namesIn(directory: string): Promise<string[]> {
  // A container may have no /boot, and then no kernel in it.
  return readdir(directory).catch(() => []);
}

function allowed(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
