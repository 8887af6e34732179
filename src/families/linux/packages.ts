import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import { GUEST_ARCHITECTURES } from '../../machine/architecture.js';
import type { Identity } from '../../model/identity.js';
import type { Packages } from '../base/host-files.js';

/**
 * Returns the operator's packages for this guest, from the first directory that exists of
 * `<distro>-<version>`, `<distro>-<major>` and `<distro>`. Empty if qemu-guest-agent is not among them.
 * Throws `plan.packages-unreadable`.
 */
export async function readPackages(
  directory: string,
  identity: Pick<Identity, 'os_distro' | 'os_version' | 'architecture'>,
): Promise<Packages> {
  if (directory === '') return { directory, files: [] };
  const there = await list(directory);
  const { os_distro: distro, os_version: version } = identity;
  const names = [`${distro}-${version}`, `${distro}-${version.replace(/\..*$/, '')}`, distro];
  // Compared with existing names, so that a name from the guest cannot lead out of the directory.
  const name = names.find((candidate) => there.includes(candidate));
  if (name === undefined) return { directory, files: [] };
  const own = join(directory, name);
  const files = (await list(own)).filter((file) => fits(file, identity.architecture)).sort();
  if (!files.some((file) => file.startsWith('qemu-guest-agent'))) return { directory: own, files: [] };
  const digested = [];
  for (const file of files) digested.push({ file, sha256: sha256(await readFile(join(own, file))) });
  return { directory: own, files: digested };
}

/**
 * True for `name_version_amd64.deb` or `name-version.x86_64.rpm`; packages for every architecture are `all`
 * and `noarch`.
 */
function fits(file: string, architecture: string): boolean {
  if (!/^[A-Za-z0-9][\w.+~%:-]*$/.test(file)) return false;
  const names = GUEST_ARCHITECTURES[architecture];
  const debian = /_([^_]+)\.deb$/.exec(file)?.[1] ?? '';
  const rpm = /\.([^.]+)\.rpm$/.exec(file)?.[1] ?? '';
  return (
    ['all', ...(names?.debian ?? [])].includes(debian) || ['noarch', ...(names?.rpm ?? [])].includes(rpm)
  );
}

async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    throw new Hyper2kvmError(
      'plan.packages-unreadable',
      `fix.guest_agent_packages: cannot read ${directory}`,
      {
        cause: error,
      },
    );
  }
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
