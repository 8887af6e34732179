import { expect, it } from 'vitest';
import { newJobId } from '../../../src/queue/ids.js';

it('sorts by time and has one form', () => {
  expect(newJobId(0, () => 0)).toBe('0000000000000');
  const ids = [1, 31, 32, 1_700_000_000_000, 1_700_000_000_001].map((time) => newJobId(time));
  expect([...ids].sort()).toEqual(ids);
  for (const id of ids) expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{13}$/);
});
