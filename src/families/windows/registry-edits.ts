import {
  type CapturedHive,
  type CapturedKey,
  capturedKey,
  capturedValue,
} from '../../guest/registry/captured.js';
import type { ValueData } from '../../guest/registry/make-value.js';
import { upperCase } from '../../guest/registry/names.js';
import type { WindowsIdentity } from '../../model/identity.js';
import type { RegistryChange, RegistryValues } from '../../operations/registry-values.js';
import type { Cause } from '../base/edit.js';
import type { Guest } from '../base/fixer.js';

export type WindowsGuest = Guest<WindowsIdentity>;

/** Returns the hive whose file is called `name` (`SYSTEM`, `SOFTWARE`). */
export function hiveOf(
  { registry }: Pick<WindowsGuest, 'registry'>,
  name: 'SYSTEM' | 'SOFTWARE',
): CapturedHive {
  const hive = registry.find(({ path }) => upperCase(path).endsWith(`/${name}`));
  if (hive === undefined) throw new Error(`the snapshot has no ${name} hive`);
  return hive;
}

/** Returns the name of the control set that Windows starts with: `ControlSet001`. */
export const controlSetOf = ({ identity }: Pick<WindowsGuest, 'identity'>): string =>
  `ControlSet${String(identity.control_set).padStart(3, '0')}`;

/** Returns the keys directly below `path`, with their names. */
export function subkeysOf(hive: CapturedHive, path: string): (CapturedKey & { name: string })[] {
  const prefix = `${upperCase(path)}\\`;
  return hive.keys.flatMap((key) => {
    const name = key.path.slice(prefix.length);
    const isBelow = upperCase(key.path).startsWith(prefix) && !name.includes('\\');
    return isBelow ? [{ ...key, name }] : [];
  });
}

/**
 * Returns the change that gives a value this type and data; none if it has them. An existing key and value
 * keep their spelling.
 */
export function setValue(hive: CapturedHive, path: string, name: string, after: ValueData): RegistryChange[] {
  const known = capturedValue(hive, path, name);
  if (known?.type === after.type && known.data === after.data) return [];
  const before = known === null ? null : { type: known.type, data: known.data };
  const key = capturedKey(hive, path)?.path ?? path;
  return [{ change: 'set', key, name: known?.name ?? name, before, after }];
}

/** Returns the change that deletes a value; none if there is none. */
export function deleteValue(hive: CapturedHive, path: string, name: string): RegistryChange[] {
  const known = capturedValue(hive, path, name);
  if (known === null) return [];
  const key = capturedKey(hive, path)?.path ?? path;
  return [{ change: 'delete-value', key, name: known.name, before: { type: known.type, data: known.data } }];
}

/** Returns the change that deletes a key with all below it; none if it is not captured. */
export function deleteKey(hive: CapturedHive, path: string): RegistryChange[] {
  const key = capturedKey(hive, path);
  return key === null ? [] : [{ change: 'delete-key', key: key.path }];
}

/** Returns the operation that makes these changes to a hive; none without changes. */
export function changeHive(
  { path }: CapturedHive,
  cause: Cause,
  changes: readonly RegistryChange[],
): RegistryValues[] {
  return changes.length === 0 ? [] : [{ op: 'registry', ...cause, path, changes: [...changes] }];
}
