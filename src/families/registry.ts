import { z } from 'zod';
import type { Identity, LinuxIdentity } from '../model/identity.js';
import { asIs } from './as-is/family.js';
import type { Family } from './base/family.js';
import { linux } from './linux/family.js';
import { windows } from './windows/family.js';

/** In the order in which their systems are looked for. */
export const FAMILIES: readonly [Family, ...Family[]] = [linux, windows, asIs];

/** What INSPECT found out about a guest of any family. */
export const guestIdentitySchema: z.ZodType<Identity> = z.union([
  asIs.identity,
  ...FAMILIES.filter((family) => family !== asIs).map(({ identity }) => identity),
]);

/** The family of an identified guest. */
export function familyOf({
  os_type,
  as_is,
}: {
  os_type: Identity['os_type'];
  as_is?: LinuxIdentity['as_is'];
}): Family {
  if (as_is !== undefined) return asIs;
  const family = FAMILIES.find((candidate) => candidate !== asIs && candidate.os === os_type);
  if (family === undefined) throw new Error(`no family of operating systems is called ${os_type}`);
  return family;
}
