import { buildGuest } from '../../src/lab/guest.js';
import { RECIPES } from '../../src/lab/recipes.js';

/** Fills the cache before the first test, so that no test pays for it: minutes the first time, nothing after. */
export async function setup(): Promise<void> {
  for (const recipe of Object.values(RECIPES)) await buildGuest(recipe, { say: (line) => console.log(line) });
}
