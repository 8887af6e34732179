import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type BuiltGuest, buildGuest } from '../../src/lab/guest.js';
import { asItIsOnVirtio } from '../../src/lab/matrix-as-is.js';
import { convertGuest } from '../../src/lab/matrix-convert.js';
import { judge } from '../../src/lab/matrix-judge.js';
import { MATRIX_IN_TESTS } from '../../src/lab/matrix-recipes.js';

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'h2k-matrix-'));
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

/** Two guests that have in them what pipeline.test.ts' two have not; `npm run test:matrix` runs them all. */
describe.each(Object.values(MATRIX_IN_TESTS))('$name', (recipe) => {
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
