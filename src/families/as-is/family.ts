import { Hyper2kvmError } from '../../errors/error.js';
import { type LinuxIdentity, linuxIdentitySchema } from '../../model/identity.js';
import { COMMON_DEVICES } from '../base/as-is.js';
import { readConfiguration } from '../base/configuration.js';
import { DEVICES } from '../base/devices.js';
import type { Family } from '../base/family.js';
import { NO_HOST_FILES } from '../base/host-files.js';
import { BOOT_PATTERNS } from './boot-patterns.js';
import { asIsInspection } from './inspect.js';
import { REMEDIES } from './remedies.js';

/** Systems that nothing is changed in: named, converted as they are, and watched while they boot. */
export const asIs: Family<LinuxIdentity> = {
  os: 'unknown',
  identity: linuxIdentitySchema.required({ as_is: true }),
  ...asIsInspection,
  load: readConfiguration,
  hostFiles: async () => NO_HOST_FILES,
  fixers: [],
  refuse: refuseAsIs,
  review: () => [],
  unfixed({ identity: { os_name: name, as_is }, options }) {
    const message = `${name} is converted as it is: its device names, network, boot loader and guest tools stay what they were`;
    return {
      devices: options.devices === 'auto' ? (as_is?.devices ?? COMMON_DEVICES) : DEVICES[options.devices],
      warnings: [{ fixer: 'as-is', code: 'plan.as-is', message }],
    };
  },
  network: () => ({ addresses: [], dhcp: false }),
  evidence: () => ({ operations: [], changes: [], unit: false }),
  boot: BOOT_PATTERNS,
  remedies: REMEDIES,
  bootWarnings: () => [],
};

function refuseAsIs({ as_is }: LinuxIdentity): void {
  if (as_is === undefined) return;
  const { disk_bus, nic_model } = as_is.devices;
  throw new Hyper2kvmError('plan.unsupported-system', as_is.reason, {
    advice: `fix.mode = "none" converts the VM as it is, with ${disk_bus} disks and ${nic_model} network cards, and boots it; see docs/formats.md for what is then left to do. kind = "data" converts the disks alone.`,
  });
}
