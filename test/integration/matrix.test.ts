import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type BuiltGuest, buildGuest } from '../../src/lab/guest.js';
import { asItIsOnVirtio } from '../../src/lab/matrix-as-is.js';
import { convertGuest } from '../../src/lab/matrix-convert.js';
import { judge } from '../../src/lab/matrix-judge.js';
import { MATRIX_IN_TESTS } from '../../src/lab/matrix-recipes.js';
import type { GuestRecipe } from '../../src/lab/recipes.js';
import { mirrorHas } from '../../src/lab/tree.js';

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'h2k-matrix-'));
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

const recipes: GuestRecipe[] = [];
for (const recipe of Object.values(MATRIX_IN_TESTS)) {
  if (recipe.release !== 'bullseye' || (await mirrorHas(recipe.release))) recipes.push(recipe);
  else console.log(`${recipe.name}: the mirror has no ${recipe.release} any more`);
}

/** Guests that have in them what pipeline.test.ts' two have not; `npm run test:matrix` runs them all. */
describe.each(recipes)('$name', (recipe) => {
  let guest: BuiltGuest;
  beforeAll(async () => {
    guest = await buildGuest(recipe, { say: (line) => console.log(line) });
  });

  test('fails on virtio as it is; converted, it boots with its address, its mounts and its swap, and a second plan is empty', async () => {
    const asItIs = await asItIsOnVirtio(guest);
    const converted = await convertGuest(guest, scratch);
    const { faults, plannedAgain } = judge(recipe, { asItIs, ...converted });
    expect(faults).toEqual([]);
    expect(plannedAgain).toBe('nothing');
    const stages = converted.bundle.report?.stages ?? [];
    expect(stages.map(({ stage }) => stage)).toContain('validate');
  });
});
