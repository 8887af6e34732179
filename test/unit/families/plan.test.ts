import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { planGuest } from '../../../src/families/plan.js';
import { FAMILIES, familyOf, guestIdentitySchema } from '../../../src/families/registry.js';
import { applyOperations } from '../../../src/operations/apply-operations.js';
import { kindOf } from '../../../src/operations/registry.js';
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
    const again = planGuest(applyOperations(guest, planGuest(guest).operations));
    expect(again.operations).toEqual([]);
  });

  it('needs only what must not be done before the move if it was prepared while it ran', () => {
    const { operations, warnings } = planGuest(guest, { isRunning: true });
    const { fixers } = familyOf(guest.identity);
    const mayRun = (name: string) => fixers.some((fixer) => fixer.whileRunning && fixer.name === name);
    for (const operation of operations) {
      expect(mayRun(operation.fixer)).toBe(true);
      expect(kindOf(operation).whileRunning).toBe(true);
    }
    const leftOut = warnings.flatMap(({ code, fixer }) => (code === 'live.left-out' ? [fixer] : []));
    const rest = planGuest(applyOperations(guest, operations)).operations;
    expect(rest.filter(({ fixer }) => mayRun(fixer) && !leftOut.includes(fixer))).toEqual([]);
  });

  it('gets the same bytes every time', () => {
    expect(canonicalJson(planGuest(guestOf(recipe)))).toBe(canonicalJson(planGuest(guest)));
  });

  it('has no device name of the old hypervisor left in what decides the boot', () => {
    const { tree } = applyOperations(guest, planGuest(guest).operations);
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
  it('has each system once, and knows the identities of no other', () => {
    expect(FAMILIES.map(({ os }) => os)).toEqual([...new Set(FAMILIES.map(({ os }) => os))]);
    const { identity } = guestOf({ files: {} });
    expect(guestIdentitySchema.parse(identity)).toEqual(identity);
    expect(guestIdentitySchema.safeParse({ ...identity, os_type: 'unknown' }).success).toBe(false);
    expect(() => familyOf({ os_type: 'unknown' })).toThrow();
  });

  it('has each fixer in a golden plan, or named in a test of this folder', () => {
    const here = fileURLToPath(new URL('.', import.meta.url));
    const tests = globSync(['golden/*.diff', '**/*.test.ts'], { cwd: here, exclude: ['plan.test.ts'] });
    const text = tests.map((file) => readFileSync(join(here, file), 'utf8')).join('\n');
    const untested = FAMILIES.flatMap(({ fixers }) => fixers).filter(
      ({ name }) => !new RegExp(`^# ${name}: |'${name}'|/${name}\\.js'`, 'm').test(text),
    );
    expect(untested.map(({ name }) => name)).toEqual([]);
  });

  it('has a description for each fixer, and each name once', () => {
    const fixers = FAMILIES.flatMap((family) => family.fixers);
    expect(new Set(fixers.map(({ name }) => name)).size).toBe(fixers.length);
    for (const { description } of fixers) expect(description.length).toBeGreaterThan(60);
  });

  it('names each operation after its fixer', () => {
    for (const recipe of Object.values(DISTRIBUTIONS)) {
      const guest = guestOf(recipe);
      const names = familyOf(guest.identity).fixers.map(({ name }) => name);
      for (const { fixer } of planGuest(guest).operations) expect(names).toContain(fixer);
    }
  });
});
