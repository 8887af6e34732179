import type { WindowsIdentity } from '../../model/identity.js';
import { type HostFiles, type HostFilesContext, NO_HOST_FILES } from '../base/host-files.js';
import { chooseDriversFor } from './drivers/choose-for.js';
import { firstBootProgram } from './first-boot-program.js';
import { firstBootScripts } from './first-boot-scripts.js';

/** Returns the drivers and what the first boot of a guest runs. Throws `windows.*` for what cannot be used. */
export async function windowsHostFiles(
  identity: WindowsIdentity,
  { config, warnings, secureBoot, signal }: HostFilesContext,
): Promise<HostFiles> {
  const drivers = await chooseDriversFor(identity, {
    virtioWin: config.windows.virtio_win,
    cache: process.env.CACHE_DIRECTORY ?? '/var/tmp',
    warnings,
    secureBoot,
    signal,
  });
  return {
    ...NO_HOST_FILES,
    drivers,
    firstBootProgram: await firstBootProgram(identity),
    firstBootScripts: await firstBootScripts(config.windows.first_boot_steps),
  };
}
