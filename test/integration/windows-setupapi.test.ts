import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { REG } from '#hyper2kvm/guest/registry/value.js';
import { buildForWindows, openWine, type Wine } from '../lab/windows/wine.ts';
import { LAB_SIGNERS, labDrivers } from '../unit/families/windows/drivers/lab-drivers.js';
import { driverPackage } from '../unit/families/windows/drivers/virtio-win.js';
import type { WindowsRecipe } from '../unit/families/windows/make-windows.js';
import { planWindows } from '../unit/families/windows/plan-windows.js';

// SetupAPI is what Windows installs drivers with. wine's own, written by others from Microsoft's documentation, must make
// of an INF what FIX writes.

const WINDOWS_10: WindowsRecipe = {
  ...{ build: 18362, product: 'Windows 10 Enterprise', edition: 'Enterprise', installation: 'Client' },
  ...{ machine: 'amd64', firmware: 'bios' },
};
const PROGRAM = fileURLToPath(new URL('../lab/windows/setupapi.c', import.meta.url));
const SERVICE_VALUES = ['Type', 'Start', 'ErrorControl', 'Group', 'ImagePath'];

let wine: Wine;
beforeAll(async () => {
  wine = await openWine('x86_64');
  await buildForWindows('x86_64', wine.path('setupapi.exe'), [PROGRAM], ['-municode', '-lsetupapi']);
});
afterAll(() => wine.close());

/** The values that matter, by their place below the service's key: type and data. */
type Values = Record<string, { type: number; data: string }>;

test.each(['viostor', 'vioscsi'] as const)(
  'the service of %s is what SetupAPI makes of its INF',
  async (name) => {
    const inf = `${name}.inf`;
    await writeFile(wine.path(inf), driverPackage(name, 'amd64', LAB_SIGNERS.publisher)[inf] ?? '');
    const text = await wine.run(['C:\\setupapi.exe', `C:\\${inf}`, 'scsi_inst.Services', name]);
    const installed: Values = {};
    for (const line of text.split(/\r?\n/)) {
      const [key = '', value = '', type, data = ''] = line.split('\t');
      if (isCompared(key, value)) installed[`${key}\\${value}`] = fromWine(value, Number(type), data);
    }

    const drivers = await labDrivers({ build: 18362, architecture: 'amd64' }, 'w10', [name]);
    const { plan } = await planWindows(WINDOWS_10, {}, {}, drivers);
    const planned: Values = {};
    const prefix = `ControlSet001\\Services\\${name}`;
    for (const operation of plan.operations)
      for (const change of operation.op === 'registry' ? operation.changes : []) {
        if (change.change !== 'set' || !`${change.key}\\`.startsWith(`${prefix}\\`)) continue;
        const key = change.key.slice(prefix.length + 1);
        if (isCompared(key, change.name)) planned[`${key}\\${change.name}`] = change.after;
      }

    expect(installed).toEqual(planned);
    expect(Object.keys(planned)).toEqual(
      expect.arrayContaining([...SERVICE_VALUES.map((value) => `\\${value}`), 'Parameters\\BusType']),
    );
  },
);

const isCompared = (key: string, value: string): boolean =>
  key === '' ? SERVICE_VALUES.includes(value) : key.startsWith('Parameters');

/**
 * wine names the program with its drive, and as plain text where it has no variable. FIX names it from the Windows
 * directory on, as drivers that start at boot must be, and as Windows' service manager does: REG_EXPAND_SZ.
 */
function fromWine(name: string, type: number, data: string): Values[string] {
  const windows = Buffer.from('C:\\windows\\', 'utf16le').toString('hex');
  if (name !== 'ImagePath' || !data.startsWith(windows)) return { type, data };
  return { type: type === REG.sz ? REG.expandSz : type, data: data.slice(windows.length) };
}
