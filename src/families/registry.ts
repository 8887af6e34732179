import type { Identity } from '../model/identity.js';
import type { Family } from './base/family.js';
import { linux } from './linux/family.js';

export const FAMILIES: readonly Family[] = [linux];

/** The family of an identified guest: INSPECT refuses a system that none knows. */
export function familyOf({ os_type }: Pick<Identity, 'os_type'>): Family {
  const family = FAMILIES.find(({ os }) => os === os_type);
  if (family === undefined) throw new Error(`no family of operating systems is called ${os_type}`);
  return family;
}
