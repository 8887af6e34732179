import { describe, expect, it } from 'vitest';
import { decideRetry } from '../../../src/engine/retry.js';
import type { ErrorRecord } from '../../../src/errors/error.js';

const settings = { attempts: 4, backoffSeconds: 15 };
function failure(code: string, message: string, extra: Partial<ErrorRecord> = {}): ErrorRecord {
  return { code, message, advice: '', retryable: true, causes: [], ...extra };
}

describe('decideRetry', () => {
  it('doubles the wait, at most to ten minutes', () => {
    const failures = [1, 2, 3].map((n) => failure('tool.killed', `m${n}`));
    expect(decideRetry(failures.slice(0, 1), settings)).toEqual({ retry: true, waitSeconds: 15 });
    expect(decideRetry(failures, settings)).toEqual({ retry: true, waitSeconds: 60 });
    expect(decideRetry(failures, { attempts: 9, backoffSeconds: 500 })).toMatchObject({ waitSeconds: 600 });
  });

  it('never tries a lasting error again', () => {
    const decision = decideRetry([failure('fetch.truncated', 'm', { retryable: false })], settings);
    expect(decision).toMatchObject({ retry: false, error: { code: 'fetch.truncated' } });
  });

  it('gives up the same failure at its second time, with both causes', () => {
    const first = failure('guest.died', 'lost', { causes: ['first stderr'] });
    const second = failure('guest.died', 'lost', { causes: ['second stderr'] });
    expect(decideRetry([first, second], settings)).toEqual({
      retry: false,
      error: { ...second, causes: ['second stderr', 'attempt 1: guest.died: lost', 'first stderr'] },
    });
  });

  it.each([
    ['host.enospc', 'No space left on device'],
    ['remote.unreachable', 'vc1 cannot be reached'],
  ])('goes on with a condition of this or another host up to the last attempt: %s', (code, message) => {
    const full = failure(code, message);
    expect(decideRetry([full, full, full], settings)).toMatchObject({ retry: true });
    expect(decideRetry([full, full, full, full], settings)).toMatchObject({ retry: false });
  });
});
