import { describe, expect, it } from 'vitest';
import { openHive } from '../../../../src/guest/registry/hive.js';
import { labDrivers } from './drivers/lab-drivers.js';
import { fixedWindows, SOFTWARE, SYSTEM } from './fixed-windows.js';
import {
  GOLDEN_FILES,
  GOLDEN_STEPS,
  goldenSoftware,
  goldenSystem,
  stepArguments,
  withoutOwnValues,
} from './golden.js';
import { hiveLines } from './hive-lines.js';
import { DISK_IDS, loaderProblem } from './loader-model.js';
import { rootFiles, windowsDisks } from './make-windows.js';
import { NINE } from './nine.js';
import { planWindows } from './plan-windows.js';

const linesOf = (hive: Buffer) => withoutOwnValues(hiveLines(openHive(hive).root));

describe.each(Object.entries(NINE))('%s', (name, windows) => {
  const { recipe, nics, os, target } = windows;

  it('has every value and file that it needs, and no other; loads its disk driver; is planned once', async () => {
    const drivers = await labDrivers(target, os, ['viostor', 'vioscsi', 'NetKVM']);
    const first = await fixedWindows(windows, drivers);
    const before = rootFiles(recipe);
    expect(linesOf(first.hive(SYSTEM))).toEqual(goldenSystem(linesOf(before[SYSTEM] as Buffer), windows));
    expect(linesOf(first.hive(SOFTWARE))).toEqual(goldenSoftware(linesOf(before[SOFTWARE] as Buffer)));
    for (const [device, ids] of Object.entries(DISK_IDS))
      expect([device, loaderProblem(first.view(), ids)]).toEqual([device, null]);

    expect([...first.files.keys()].sort()).toEqual([...GOLDEN_FILES].sort());
    const plan = first.files.get('/Program Files/hyper2kvm/firstboot/plan.tsv')?.toString() ?? '';
    expect(stepArguments(plan)).toEqual((GOLDEN_STEPS[name] ?? []).map((step) => [...step].sort()));

    const second = await fixedWindows(windows, drivers);
    for (const path of [SYSTEM, SOFTWARE]) expect(second.hive(path).equals(first.hive(path))).toBe(true);
    expect(second.files).toEqual(first.files);

    const files = { ...recipe.files, ...Object.fromEntries(first.files) };
    const hives = { [SYSTEM]: first.hive(SYSTEM), [SOFTWARE]: first.hive(SOFTWARE) };
    const after = {
      ...recipe,
      files: { ...files, '/Program Files/hyper2kvm/firstboot/h2kfirst.exe': 'x', ...hives },
    };
    const again = await planWindows(after, { nics }, {}, drivers, {}, windowsDisks(after, first.data));
    expect(again.plan.operations).toEqual([]);
  });
});
