import type { GuestAccess, GuestRequest } from '../access/guest-access.js';
import { launchAppliance } from './appliance.js';
import { appliancePort } from './port.js';
import { applianceReader } from './reader.js';
import { applianceWriter } from './writer.js';

/** Opens a VM that is off by a libguestfs appliance with its disks. Rejects like `launchAppliance`. */
export async function openAppliance(request: GuestRequest): Promise<GuestAccess> {
  const { workDirectory } = request;
  const appliance = await launchAppliance(request);
  const reader = applianceReader(appliance, workDirectory);
  return {
    reader,
    port: appliancePort(appliance, workDirectory),
    writer: ({ selinux }) => applianceWriter(appliance, reader, { workDirectory, selinux }),
    capabilities: {
      offline: true,
      layers: { images: appliance.overlays, add: appliance.addLayer },
      trim: {
        async used(mountpoint) {
          const { bsize, blocks, bfree } = await appliance.call('statvfs', mountpoint);
          return bsize * (blocks - bfree);
        },
        trim: (mountpoint) => appliance.call('fstrim', mountpoint),
      },
    },
    traffic: appliance.traffic,
    close: appliance.close,
    kill: appliance.kill,
  };
}
