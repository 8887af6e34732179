import { describe, expect, it } from 'vitest';
import { nextCheck, quietSeconds, settle } from '../../../src/spool/settle.js';

describe('settle', () => {
  it('counts from the first check with an unchanged fingerprint and starts again at a change', () => {
    const first = settle(undefined, 'a', 100);
    const second = settle(first, 'a', 107);
    expect(quietSeconds([second])).toBe(7);
    expect(quietSeconds([settle(second, 'b', 110)])).toBe(0);
  });

  it('is as quiet as the last change in any part, up to the oldest check', () => {
    const old = { fingerprint: 'a', since: 0, checkedAt: 50 };
    const young = { fingerprint: 'b', since: 40, checkedAt: 60 };
    expect(quietSeconds([old, young])).toBe(10);
    expect(quietSeconds([old, { ...young, since: 55 }])).toBe(0);
  });
});

describe('nextCheck', () => {
  it('never sleeps past a decision', () => {
    expect(nextCheck({ fingerprint: 'a', since: 0, checkedAt: 1 }, 5, 3)).toBe(3);
    expect(nextCheck({ fingerprint: 'a', since: 0, checkedAt: 1 }, 5, 60)).toBe(6);
  });

  it('checks ever more seldom what only lies there', () => {
    expect(nextCheck({ fingerprint: 'a', since: 0, checkedAt: 400 }, 5, 10)).toBe(500);
    expect(nextCheck({ fingerprint: 'a', since: 0, checkedAt: 1_000_000 }, 5, 10)).toBe(1_000_600);
  });
});
