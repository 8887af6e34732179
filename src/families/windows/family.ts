import { type WindowsIdentity, windowsIdentitySchema } from '../../model/identity.js';
import type { Family } from '../base/family.js';
import { BOOT_PATTERNS } from './boot-patterns.js';
import { FIXERS } from './fixers.js';
import { windowsHostFiles } from './host-files.js';
import { windowsInspection } from './inspect/index.js';
import { readWindowsSnapshot } from './inspect/snapshot.js';
import { refuseWindows } from './refusal.js';
import { REMEDIES } from './remedies.js';
import { unfixedDevices } from './unfixed.js';

/** Windows from XP on. */
export const windows: Family<WindowsIdentity> = {
  os: 'windows',
  identity: windowsIdentitySchema,
  ...windowsInspection,
  load: readWindowsSnapshot,
  hostFiles: windowsHostFiles,
  fixers: FIXERS,
  refuse: refuseWindows,
  review: () => [],
  unfixed: unfixedDevices,
  network: ({ identity: { interfaces } }) => ({
    addresses: interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    dhcp: interfaces.some(({ dhcp }) => dhcp),
  }),
  evidence: () => ({ operations: [], changes: [], unit: false }),
  boot: BOOT_PATTERNS,
  remedies: REMEDIES,
  bootWarnings: () => [],
};
