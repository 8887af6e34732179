import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { editHive } from '../../../../src/appliance/hive-editor.js';
import type { HiveEdit } from '../../../../src/guest/registry/captured.js';
import type { DriverSet } from '../../../../src/model/driver-set.js';
import type { RegistryChange } from '../../../../src/operations/registry-values.js';
import { hivexSession, hostReader, hostRewrite } from '../../appliance/hivex.js';
import type { LoaderView } from './loader-model.js';
import { rootFiles, windowsDisks } from './make-windows.js';
import type { LabWindows } from './nine.js';
import { planWindows } from './plan-windows.js';

export const SYSTEM = '/Windows/System32/config/SYSTEM';
export const SOFTWARE = '/Windows/System32/config/SOFTWARE';
type Target = Pick<LabWindows, 'recipe' | 'target'> & Partial<Pick<LabWindows, 'nics' | 'dataDisk'>>;

/** The guest after FIX: its hives by libhivex itself, its files as they are copied. */
export async function fixedWindows(windows: Target, drivers: DriverSet) {
  const { recipe, target, nics = [], dataDisk = 0 } = windows;
  const data =
    dataDisk === 0
      ? {}
      : {
          partitions: { '/dev/sdb1': { TYPE: 'ntfs', UUID: 'D1' } },
          filesystems: { '/dev/sdb1': { '/data.txt': 'of a user' } },
        };
  const { plan } = await planWindows(recipe, { nics }, {}, drivers, {}, windowsDisks(recipe, data));
  const directory = mkdtempSync(join(tmpdir(), 'h2k-fixed-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const hives: Record<string, string> = {};
  for (const path of [SYSTEM, SOFTWARE]) {
    hives[path] = join(directory, path.slice(path.lastIndexOf('/') + 1));
    writeFileSync(hives[path], rootFiles(recipe)[path] as Buffer);
  }
  const editOn = (path: string, edits: readonly HiveEdit[]) =>
    editHive({ session: hivexSession().session, reader: hostReader(), rewrite: hostRewrite }, path, edits);
  /** What is written beside the hives, by path. */
  const files = new Map<string, Buffer>();
  for (const operation of plan.operations) {
    if (operation.op === 'registry') await editOn(hives[operation.path]!, operation.changes.map(editOf));
    if (operation.op === 'copy_driver')
      for (const { source, path } of operation.files) files.set(path, readFileSync(source));
    if (operation.op === 'first_boot') files.set(operation.path, Buffer.from(operation.text));
  }
  const hive = (path: string) => readFileSync(hives[path]!);
  const view = (): LoaderView => ({
    system: hive(SYSTEM),
    file: (name) => {
      const wanted = `/Windows/${name.replaceAll('\\', '/')}`.toLowerCase();
      return [...files].find(([path]) => path.toLowerCase() === wanted)?.[1] ?? null;
    },
    architecture: target.architecture,
  });
  const edit = (edits: readonly HiveEdit[]) => editOn(hives[SYSTEM]!, edits);
  return { plan, edit, files, hive, view, set: `ControlSet00${recipe.controlSet ?? 1}`, data };
}

function editOf(change: RegistryChange): HiveEdit {
  const { key } = change;
  if (change.change === 'delete-key') return { edit: 'delete-key', key };
  if (change.change === 'delete-value') return { edit: 'delete-value', key, name: change.name };
  return { edit: 'set', key, name: change.name, ...change.after };
}
