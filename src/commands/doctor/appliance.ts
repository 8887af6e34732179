import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { libguestfsVersion } from '../../report/versions.js';
import { run } from '../../tools/run.js';
import { type Check, fail, ok, probe, warn } from './check.js';

const BOOT = '/boot';

export const checkLibguestfs: Check = async ({ signal }) =>
  Promise.all([
    probe('libguestfs', 'apt install libguestfs0', () => libguestfsVersion(signal)),
    probe('supermin', 'apt install supermin', async () => {
      const { stdout } = await run('supermin', ['--version'], { signal, timeoutSeconds: 20 });
      return stdout.toString().trim();
    }),
  ]);

/** supermin boots the newest kernel of /boot that has its modules. Ubuntu makes kernels readable for root only. */
export const checkKernel: Check = async () => {
  const names = (await namesIn(BOOT)).filter((name) => /^vmlinu[xz]-/.test(name));
  const usable: string[] = [];
  const unreadable: string[] = [];
  for (const name of names) {
    const version = name.replace(/^vmlinu[xz]-/, '');
    if (!(await allowed(`/lib/modules/${version}`, constants.R_OK))) continue;
    const kernel = join(BOOT, name);
    if (await allowed(kernel, constants.R_OK)) usable.push(kernel);
    else unreadable.push(kernel);
  }
  if (usable.length > 0) return [ok('appliance kernel', usable.sort().at(-1)!)];
  if (unreadable.length > 0) {
    const kernel = unreadable.sort().at(-1)!;
    const fix = `dpkg-statoverride --update --add root root 0644 ${kernel}`;
    return [fail('appliance kernel', `${kernel} cannot be read by this user`, fix)];
  }
  return [fail('appliance kernel', 'no kernel with its modules in /boot', 'apt install linux-image-amd64')];
};

/** Where supermin keeps the built appliance (about 400 MB); the order is guest/appliance.ts'. */
export const checkApplianceCache: Check = async ({ env }) => {
  const directory = env.LIBGUESTFS_CACHEDIR ?? env.CACHE_DIRECTORY ?? '/var/tmp';
  const name = 'appliance cache';
  if (!(await allowed(directory, constants.W_OK | constants.X_OK)))
    return [
      fail(name, `${directory} cannot be written to`, `mkdir -p ${directory}, or set LIBGUESTFS_CACHEDIR`),
    ];
  const built = join(directory, `.guestfs-${process.getuid?.() ?? 0}`, 'appliance.d', 'root');
  try {
    const { mtime } = await stat(built);
    return [ok(name, `${built}, of ${mtime.toISOString().slice(0, 10)}`)];
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      return [warn(name, `${built} cannot be read`, `rm -r ${join(built, '..')}`)];
    return [ok(name, `${directory}; not built yet, the first job takes a minute longer`)];
  }
};

async function namesIn(directory: string): Promise<string[]> {
  // A container may have no /boot at all: then there is no kernel in it.
  return readdir(directory).catch(() => []);
}

function allowed(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
