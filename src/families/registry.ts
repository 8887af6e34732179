import { z } from 'zod';
import type { Identity } from '../model/identity.js';
import type { Family } from './base/family.js';
import { linux } from './linux/family.js';
import { windows } from './windows/family.js';

export const FAMILIES: readonly [Family, ...Family[]] = [linux, windows];

const [first, ...others] = FAMILIES;

/** The identity that INSPECT found for a guest of any family. */
export const guestIdentitySchema: z.ZodType<Identity> = z.discriminatedUnion('os_type', [
  first.identity,
  ...others.map(({ identity }) => identity),
]);

/** Returns the family of an identified guest. */
export function familyOf({ os_type }: Pick<Identity, 'os_type'>): Family {
  const family = FAMILIES.find(({ os }) => os === os_type);
  if (family === undefined) throw new Error(`no family of operating systems is called ${os_type}`);
  return family;
}
