import { parseArgs } from 'node:util';
import { buildGuest } from './guest.js';
import { GUESTS_IN_TESTS } from './matrix-recipes.js';
import { mirrorHas } from './packages.js';
import type { GuestRecipe } from './recipes.js';

/** `node dist/lab/build-guests.js [RECIPE…]`: fills the cache with the guests of the tests (or those named) and prints where each is. */
const { positionals } = parseArgs({ allowPositionals: true });
const unknown = positionals.find((name) => !GUESTS_IN_TESTS.some((recipe) => recipe.name === name));
if (unknown !== undefined)
  throw new RangeError(
    `no recipe ${unknown}; there are ${GUESTS_IN_TESTS.map(({ name }) => name).join(', ')}`,
  );
for (const recipe of GUESTS_IN_TESTS) {
  if (positionals.length > 0 && !positionals.includes(recipe.name)) continue;
  if (recipe.release === 'bullseye' && !(await mirrorHas(recipe.release))) continue;
  await build(recipe);
}

async function build(recipe: GuestRecipe): Promise<void> {
  const { image } = await buildGuest(recipe, { say: (line) => console.error(line) });
  console.log(`${recipe.name}\t${image}`);
}
