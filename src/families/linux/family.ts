import { z } from 'zod';
import { type LinuxIdentity, linuxIdentitySchema } from '../../model/identity.js';
import { readConfiguration } from '../base/configuration.js';
import type { Family } from '../base/family.js';
import { NO_HOST_FILES } from '../base/host-files.js';
import { INITRAMFS_BEGINS, INITRAMFS_ENDS, LEVEL_PATTERNS } from './boot-levels.js';
import { KERNEL_PANIC, SIGNATURES } from './boot-signatures.js';
import { bootWarnings } from './boot-warnings.js';
import { evidence } from './evidence.js';
import { FIXERS } from './fixers.js';
import { guestReport } from './guest-report.js';
import { linuxInspection } from './inspect/index.js';
import { expectedNetwork } from './network.js';
import { readPackages } from './packages.js';
import { REMEDIES } from './remedies.js';
import { unfixedDevices } from './unfixed.js';
import { lostSignatures } from './unified-images.js';

export const linux: Family<LinuxIdentity> = {
  os: 'linux',
  identity: linuxIdentitySchema.extend({ os_type: z.literal('linux') }),
  ...linuxInspection,
  load: readConfiguration,
  hostFiles: async (identity, { config }) => ({
    ...NO_HOST_FILES,
    packages: await readPackages(config.fix.guest_agent_packages, identity),
  }),
  fixers: FIXERS,
  review: lostSignatures,
  unfixed: unfixedDevices,
  network: ({ tree }) => expectedNetwork(tree),
  evidence,
  boot: {
    levels: LEVEL_PATTERNS,
    initramfs: { begins: INITRAMFS_BEGINS, ends: INITRAMFS_ENDS },
    signatures: SIGNATURES,
    panic: KERNEL_PANIC,
    report: guestReport,
  },
  remedies: REMEDIES,
  bootWarnings,
};
