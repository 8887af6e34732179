import { type CapturedHive, capturedKey, capturedValue } from '../../guest/registry/captured.js';
import type { ValueData } from '../../guest/registry/make-value.js';
import { upperCase } from '../../guest/registry/names.js';
import { REG } from '../../guest/registry/value.js';
import type { RegistryChange } from '../../operations/registry-values.js';
import { setValue } from './registry-edits.js';

/**
 * A value that the first boot gives back when it is done: `key` counts from the control set
 * (`Control\CrashControl`), `before` is null if there was none.
 */
export interface Restore {
  key: string;
  name: string;
  before: ValueData | null;
}

/** The key of the first boot's service: it goes, with what is below it, when the service is deleted. */
const SERVICE = 'Services\\hyper2kvm-firstboot';
/**
 * What is to be restored, in the hive itself, so that a second conversion finds the values from before the
 * first one: a value's name is the path of what it restores, its type and data are those to restore. REG_NONE
 * without data stands for "there was none".
 */
const RESTORE = `${SERVICE}\\Restore`;
const NONE: ValueData = { type: REG.none, data: '' };

/** What first-boot-values.ts sets, in upper case. A guest may name more, which is nothing that we have noted. */
const KNOWN = new Set(['CONTROL\\CRASHCONTROL\\AUTOREBOOT', 'SERVICES\\PARTMGR\\PARAMETERS\\SANPOLICY']);

/** Returns the changes that set a value until the first boot restores it; none if it is set so already. */
export function setUntilFirstBoot(
  system: CapturedHive,
  set: string,
  { key, name }: Pick<Restore, 'key' | 'name'>,
  after: ValueData,
): RegistryChange[] {
  const path = `${set}\\${key}`;
  const change = setValue(system, path, name, after);
  if (change.length === 0) return [];
  const before = capturedValue(system, path, name) ?? NONE;
  const place = `${set}\\${RESTORE}`;
  const label = `${key}\\${name}`;
  // What was noted first is what the guest had before.
  const note =
    capturedValue(system, place, label) === null
      ? setValue(system, place, label, { type: before.type, data: before.data })
      : [];
  return [...note, ...change];
}

/** Returns what the first boot has to restore, by what is noted in the hive. Pure. */
export function restoresOf(system: CapturedHive, set: string): Restore[] {
  const noted = capturedKey(system, `${set}\\${RESTORE}`)?.values ?? [];
  const known = noted.filter(({ name }) => KNOWN.has(upperCase(name)));
  return known.map(({ name: label, type, data }) => {
    const slash = label.lastIndexOf('\\');
    return {
      key: label.slice(0, Math.max(slash, 0)),
      name: label.slice(slash + 1),
      before: type === NONE.type && data === '' ? null : { type, data },
    };
  });
}
