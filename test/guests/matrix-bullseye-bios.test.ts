import { expect, it } from 'vitest';
import { MATRIX_IN_TESTS } from '../lab/matrix-recipes.ts';
import { mirrorHas } from '../lab/packages.ts';
import { testMatrixGuest } from './matrix.js';

const recipe = MATRIX_IN_TESTS['bullseye-bios'];
// Mirrors will lose this release some day.
if (await mirrorHas(recipe.release)) testMatrixGuest(recipe);
else
  it(`${recipe.name} cannot be built: the mirror has bookworm and no ${recipe.release} any more`, async () => {
    expect(await mirrorHas('bookworm')).toBe(true);
  });
