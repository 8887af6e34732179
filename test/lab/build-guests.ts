import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { buildAlpine } from './alpine.ts';
import { buildGuest } from './guest.ts';
import { GUESTS_IN_TESTS } from './matrix-recipes.ts';
import { mirrorHas } from './packages.ts';
import type { GuestRecipe } from './recipes.ts';

/**
 * `node test/lab/build-guests.ts [RECIPE…]`: fills the cache with the guests of the tests (or those named)
 * and prints where each is.
 */
// Tests that measure answers within a second run beside it.
setPriority(10);

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
if (positionals.length === 0) console.log(`alpine\t${(await buildAlpine()).image}`);

async function build(recipe: GuestRecipe): Promise<void> {
  const { image } = await buildGuest(recipe, { say: (line) => console.error(line) });
  console.log(`${recipe.name}\t${image}`);
}
