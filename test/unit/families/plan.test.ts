import { describe, expect, it } from 'vitest';
import { guestAfter, planGuest } from '../../../src/families/plan.js';
import { FIXERS } from '../../../src/families/registry.js';
import { planDiff } from '../../../src/stages/plan/plan-diff.js';
import { canonicalJson } from '../../../src/text/canonical-json.js';
import { DISTRIBUTIONS as OTHERS } from './distributions.js';
import { RPM_DISTRIBUTIONS } from './distributions-rpm.js';
import { UBUNTU_DISTRIBUTIONS } from './distributions-ubuntu.js';
import { guestOf } from './guests.js';

const DISTRIBUTIONS = { ...OTHERS, ...RPM_DISTRIBUTIONS, ...UBUNTU_DISTRIBUTIONS };

describe.each(Object.entries(DISTRIBUTIONS))('%s', (name, recipe) => {
  const guest = guestOf(recipe);

  it('gets the plan that a person of the field would sign', async () => {
    await expect(planDiff(planGuest(guest))).toMatchFileSnapshot(
      `golden/${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.diff`,
    );
  });

  it('needs nothing more after it', () => {
    const again = planGuest(guestAfter(guest, planGuest(guest).operations));
    expect(again.operations).toEqual([]);
  });

  it('gets the same bytes every time', () => {
    expect(canonicalJson(planGuest(guestOf(recipe)))).toBe(canonicalJson(planGuest(guest)));
  });

  it('has no device name of the old hypervisor left in what decides the boot', () => {
    const { tree } = guestAfter(guest, planGuest(guest).operations);
    for (const path of [
      '/etc/fstab',
      '/boot/grub/grub.cfg',
      '/boot/grub2/grub.cfg',
      '/boot/grub2/grubenv',
      '/boot/grub/grub.conf',
      '/boot/extlinux.conf',
      '/boot/loader/entries/arch.conf',
    ]) {
      const text = (tree.text(path)?.text ?? '').replace(/^\s*#.*$/gm, '');
      expect(text).not.toMatch(/\/dev\/(sd|disk\/by-(path|id(?!\/dm-)))/);
    }
  });
});

describe('the registry', () => {
  it('has a description for each fixer, and each name once', () => {
    const names = FIXERS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { description } of FIXERS) expect(description.length).toBeGreaterThan(60);
  });

  it('names each operation after its fixer', () => {
    for (const recipe of Object.values(DISTRIBUTIONS))
      for (const { fixer } of planGuest(guestOf(recipe)).operations)
        expect(FIXERS.map(({ name }) => name)).toContain(fixer);
  });
});
