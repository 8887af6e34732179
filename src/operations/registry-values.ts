import { z } from 'zod';
import type { GuestWriter } from '../access/guest-writer.js';
import { type HiveEdit, withEdits } from '../guest/registry/captured.js';
import { findKeys } from '../guest/registry/find-keys.js';
import { openHive, type RegistryKey } from '../guest/registry/hive.js';
import { upperCase } from '../guest/registry/names.js';
import { keyLine, valueLine } from '../guest/registry/print.js';
import type { RegistryValue } from '../guest/registry/value.js';
import { causeFields, type OperationKind } from './operation.js';
import { unproven } from './prove-outcomes.js';
import { refuseLinkedFile } from './windows-files.js';

const valueSchema = z.object({ type: z.int().min(0).max(0xffff_ffff), data: z.string() });

/**
 * Sets and deletes values, and deletes keys, of a hive in place. `before` is what is there; null if nothing
 * is. Data are hexadecimal.
 */
const changeSchema = z.discriminatedUnion('change', [
  z.object({
    change: z.literal('set'),
    key: z.string(),
    name: z.string(),
    before: valueSchema.nullable(),
    after: valueSchema,
  }),
  z.object({ change: z.literal('delete-value'), key: z.string(), name: z.string(), before: valueSchema }),
  z.object({ change: z.literal('delete-key'), key: z.string() }),
]);
export type RegistryChange = z.infer<typeof changeSchema>;
type Change = RegistryChange;

const schema = z.object({
  op: z.literal('registry'),
  ...causeFields,
  /** The hive's file in the guest. */
  path: z.string(),
  changes: z.array(changeSchema),
});
export type RegistryValues = z.infer<typeof schema>;

export const registryValues: OperationKind<RegistryValues> = {
  op: 'registry',
  whileRunning: false,
  schema,
  // Two operations on one hive have a diff each, unless they change the same values.
  subject: ({ path, changes }) => [path, ...changes.map(idOf)].join('\0'),
  title: ({ path, changes }) => ({ verb: 'change', object: `${changes.length} registry values of ${path}` }),
  diff({ path, changes }) {
    const [before, after] = [linesOf(changes, 'before'), linesOf(changes, 'after')];
    return { text: { path, before, after }, remarks: [] };
  },
  applyTo(draft, { path, changes }) {
    const edits = changes.map(editOf);
    draft.registry = draft.registry.map((hive) => (hive.path === path ? withEdits(hive, edits) : hive));
  },
  check: (guest, { path }) => refuseLinkedFile(guest, path),
  async execute(guest, { path, changes }) {
    await guest.editHive(path, changes.map(editOf));
    await prove(guest, path, changes);
    return [`${changes.length} registry changes in ${path} read back as planned`];
  },
  // A hive is read and written whole, and has some ten megabytes.
  merge(first, second) {
    const ids = new Set(first.changes.map(idOf));
    const isOther = first.path !== second.path || second.changes.some((change) => ids.has(idOf(change)));
    return isOther ? null : { ...first, changes: [...first.changes, ...second.changes] };
  },
};

function editOf(change: Change): HiveEdit {
  const { key } = change;
  if (change.change === 'delete-key') return { edit: 'delete-key', key };
  if (change.change === 'delete-value') return { edit: 'delete-value', key, name: change.name };
  return { edit: 'set', key, name: change.name, ...change.after };
}

/** Returns the changed values as regedit writes them, by key in the order of their first change. */
function linesOf(changes: readonly Change[], side: 'before' | 'after'): string {
  const keys = new Map<string, string[]>();
  for (const change of changes) {
    const lines = keys.get(change.key) ?? [];
    keys.set(change.key, lines);
    if (change.change === 'delete-key') lines.push(...(side === 'after' ? ['; the key is deleted'] : []));
    else {
      const value = side === 'before' ? change.before : change.change === 'set' ? change.after : null;
      if (value !== null) lines.push(valueLine({ name: change.name, ...bytesOf(value) }));
    }
  }
  return [...keys]
    .map(([key, lines]) => `${keyLine(key)}\n${lines.map((line) => `${line}\n`).join('')}\n`)
    .join('');
}

const bytesOf = ({ type, data }: z.infer<typeof valueSchema>) => ({ type, data: Buffer.from(data, 'hex') });

/** Reads the hive back with our own reader, which is not what wrote it. */
async function prove(guest: GuestWriter, path: string, changes: readonly Change[]): Promise<void> {
  const { root } = openHive(await guest.read(path));
  // The last change of a value counts.
  const last = new Map(changes.map((change) => [idOf(change), change]));
  const keys = findKeys(
    root,
    changes.map(({ key }) => key),
  );
  const values = new Map([...keys].map(([id, key]) => [id, valuesOf(key)]));
  for (const change of last.values()) {
    const difference = differenceOf(values.get(upperCase(change.key)) ?? null, change);
    if (difference !== null) throw unproven(path, `${change.key}: ${difference}`);
  }
}

type Values = ReadonlyMap<string, RegistryValue>;

/** Returns the key's values by their names in upper case. */
function valuesOf(key: RegistryKey): Values {
  const values = new Map<string, RegistryValue>();
  for (const value of key.values()) {
    const name = upperCase(value.name);
    if (!values.has(name)) values.set(name, value);
  }
  return values;
}

const idOf = (change: Change): string =>
  upperCase(`${change.key}\0${change.change === 'delete-key' ? '' : change.name}`);

/** `values` are those of the change's key; null if there is no such key. */
function differenceOf(values: Values | null, change: Change): string | null {
  if (change.change === 'delete-key') return values === null ? null : 'the key still exists';
  const value = values?.get(upperCase(change.name)) ?? null;
  if (change.change === 'delete-value') return value === null ? null : `${change.name} still exists`;
  if (value === null) return `${change.name} does not exist`;
  const { type, data } = bytesOf(change.after);
  return value.type === type && value.data.equals(data) ? null : `${change.name} has another value`;
}
