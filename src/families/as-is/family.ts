import { readSnapshot } from '../../guest/snapshot-file.js';
import { identitySchema } from '../../model/identity.js';
import { COMMON_DEVICES } from '../base/as-is.js';
import { DEVICES } from '../base/devices.js';
import type { Family } from '../base/family.js';
import { BOOT_PATTERNS } from './boot-patterns.js';
import { asIsInspection } from './inspect.js';
import { REMEDIES } from './remedies.js';

/** Systems that nothing is changed in: named, converted as they are, and watched while they boot. */
export const asIs: Family = {
  os: 'unknown',
  identity: identitySchema.required({ as_is: true }),
  ...asIsInspection,
  load: readSnapshot,
  fixers: [],
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
