import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildGuest, guestKey } from '../lab/guest.ts';
import { asItIsOnVirtio } from '../lab/matrix-as-is.ts';
import { convertGuest } from '../lab/matrix-convert.ts';
import { judge } from '../lab/matrix-judge.ts';
import type { GuestRecipe } from '../lab/recipes.ts';
import { seenOnce } from '../lab/seen-once.ts';

/**
 * One guest of the matrix, as `npm run test:matrix` runs them all. A file for each, so that they run side by
 * side.
 */
export function testMatrixGuest(recipe: GuestRecipe): void {
  test(`${recipe.name} fails on virtio as it is; converted, it boots with its address, its mounts and its swap, and a second plan is empty`, async () => {
    const guest = await buildGuest(recipe, { say: (line) => console.log(line) });
    const asItIs = await seenOnce(guestKey(recipe), 'as-is', () => asItIsOnVirtio(guest));
    const scratch = await mkdtemp(join(tmpdir(), 'h2k-matrix-'));
    try {
      const converted = await convertGuest(guest, scratch);
      const { faults, plannedAgain } = judge(recipe, { asItIs, ...converted });
      expect(faults).toEqual([]);
      expect(plannedAgain).toBe('nothing');
      const stages = converted.bundle.report?.stages ?? [];
      expect(stages.map(({ stage }) => stage)).toContain('validate');
      expect(stages.reduce((sum, stage) => sum + stage.appliance_launches, 0)).toBe(1);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}
