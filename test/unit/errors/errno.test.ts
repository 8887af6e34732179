import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { errorCode, isErrorCode } from '../../../src/errors/errno.js';

test('a system error is known by its code', async () => {
  const error: unknown = await readFile('/nowhere/at/all').catch((cause: unknown) => cause);
  expect(isErrorCode(error, 'EACCES', 'ENOENT')).toBe(true);
  expect(isErrorCode(error, 'EACCES')).toBe(false);
  expect(errorCode(error)).toBe('ENOENT');
});

test.each([null, undefined, 'ENOENT', { code: 'ENOENT' }, new Error('ENOENT')])(
  '%j has no code',
  (thrown) => {
    expect(errorCode(thrown)).toBeUndefined();
    expect(isErrorCode(thrown, 'ENOENT')).toBe(false);
  },
);
