import { describe, expect, it } from 'vitest';
import { inspectWindows } from '../inspect-windows.js';
import { ROOTS, windowsDisks } from '../make-windows.js';
import { SYSTEMS } from '../systems.js';

describe.each(Object.entries(SYSTEMS))('%s', (_, { recipe, nics = [], expected }) => {
  it('is identified', async () => {
    const { identity, warnings, calls } = await inspectWindows(windowsDisks(recipe), { nics });
    expect(identity).toMatchObject({
      ...{ os_type: 'windows', os_distro: 'windows', root: ROOTS[recipe.firmware], hibernated: false },
      boot_store: { device: '/dev/sda1', matches_root: true, test_signing: false, safe_boot: false },
      ...expected,
    });
    expect(warnings).toEqual([]);
    // Each takes an appliance without KVM 0.2 s.
    expect(calls.length).toBeLessThan(80);
  });

  it('gives the same snapshot each time', async () => {
    const [first, second] = [
      await inspectWindows(windowsDisks(recipe), { nics }),
      await inspectWindows(windowsDisks(recipe), { nics }),
    ];
    expect(second.text).toBe(first.text);
    expect(second.snapshot_sha256).toBe(first.snapshot_sha256);
  });
});
