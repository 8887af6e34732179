import type { DriverSet } from '../../../model/driver-set.js';
import type { WindowsIdentity } from '../../../model/identity.js';
import type { Warning } from '../../../model/plan.js';
import { chooseDrivers } from './choose.js';
import { openVirtioWin } from './open.js';
import { readCatalogue } from './read-catalogue.js';
import type { DriverTarget } from './releases.js';

interface Choice {
  /** The operator's virtio-win; empty without one. */
  virtioWin: string;
  /** Where an ISO is unpacked. */
  cache: string;
  /** INSPECT's warnings about the guest. */
  warnings: readonly Warning[];
  secureBoot: boolean;
  signal: AbortSignal;
}

/**
 * Returns what the operator's virtio-win has for a guest; null without one, or for a guest that nothing is known
 * of. Throws `windows.virtio-win-*` and `windows.unpacker-missing`.
 */
export async function chooseDriversFor(
  identity: WindowsIdentity,
  { virtioWin, cache, warnings, secureBoot, signal }: Choice,
): Promise<DriverSet | null> {
  const architecture = ARCHITECTURES[identity.architecture];
  if (virtioWin === '' || architecture === undefined) return null;
  const target: DriverTarget = {
    architecture,
    build: identity.build,
    product: /server/i.test(identity.installation_type) ? 'server' : 'workstation',
    testSigning: identity.boot_store?.test_signing ?? false,
    secureBoot,
    knowsSha256: !warnings.some(({ code }) => code === 'inspect.no-sha2'),
  };
  const { files } = await openVirtioWin(virtioWin, cache, signal);
  return chooseDrivers(await readCatalogue(files, { signal, windows: target }), target);
}

const ARCHITECTURES: Readonly<Record<string, DriverTarget['architecture']>> = {
  i386: 'x86',
  x86_64: 'amd64',
};
