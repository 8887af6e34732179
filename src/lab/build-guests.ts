import { buildGuest } from './guest.js';
import { type GuestRecipe, RECIPES } from './recipes.js';

/** `node dist/lab/build-guests.js [RECIPE…]`: fills the cache and prints where each guest is. */
const recipes: Record<string, GuestRecipe> = RECIPES;
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(recipes);
for (const name of names) {
  const recipe = recipes[name];
  if (recipe === undefined)
    throw new RangeError(`no recipe ${name}; there are ${Object.keys(recipes).join(', ')}`);
  const { image } = await buildGuest(recipe, { say: (line) => console.error(line) });
  console.log(`${name}\t${image}`);
}
