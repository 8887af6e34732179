import { configSchema } from '../../../../src/config/schema.js';
import { planGuest } from '../../../../src/families/plan.js';
import { readWindowsSnapshot } from '../../../../src/families/windows/inspect/snapshot.js';
import { hiveOf, type WindowsGuest } from '../../../../src/families/windows/registry-edits.js';
import { capturedKey, capturedValue } from '../../../../src/guest/registry/captured.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { guestOf } from '../guests.js';
import { inspectWindows } from './inspect-windows.js';
import { type WindowsRecipe, windowsDisks } from './make-windows.js';

export const FIRST_BOOT_PROGRAM = { source: '/h2kfirst.exe', size: 5, sha256: 'ab'.repeat(32) };

type FixOptions = Partial<WindowsGuest['options']>;

/** What INSPECT and PLAN make of a recipe's guest: the plan, the guest before it, and the guest after it. */
export async function planWindows(
  recipe: WindowsRecipe,
  description: Parameters<typeof inspectWindows>[1] = {},
  options: FixOptions = {},
  drivers: WindowsGuest['drivers'] = null,
  change: Partial<WindowsGuest> = {},
  disks = windowsDisks(recipe),
) {
  const { identity, file } = await inspectWindows(disks, description);
  const linux = guestOf({});
  const guest: WindowsGuest = {
    ...linux,
    ...(await readWindowsSnapshot(file)),
    identity,
    drivers,
    firstBootProgram: FIRST_BOOT_PROGRAM,
    options: { ...configSchema.parse({}).fix, ...options },
    ...change,
  };
  const plan = planGuest(guest);
  const after = applyOperations(guest, plan.operations);
  return { guest, plan, after };
}

/** A value of the guest as type and hexadecimal data; null if it is not there. Paths begin in control set 1. */
export function systemValue(
  guest: Pick<WindowsGuest, 'registry'>,
  path: string,
  name: string,
): { type: number; data: string } | null {
  const value = capturedValue(hiveOf(guest, 'SYSTEM'), `ControlSet001\\${path}`, name);
  return value === null ? null : { type: value.type, data: value.data };
}

export const hasKey = (guest: Pick<WindowsGuest, 'registry'>, path: string): boolean =>
  capturedKey(hiveOf(guest, 'SYSTEM'), `ControlSet001\\${path}`) !== null;
