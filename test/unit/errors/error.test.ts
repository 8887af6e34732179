import { describe, expect, it } from 'vitest';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';

const withCode = (code: string) => Object.assign(new Error('it failed'), { code });

describe('errorRecord', () => {
  it.each([
    ['ENOSPC', 'host.enospc', true],
    ['EMFILE', 'host.emfile', true],
    ['EIO', 'host.eio', false],
    ['SQLITE_FULL', 'host.enospc', true],
    ['SQLITE_BUSY_SNAPSHOT', 'host.ebusy', true],
    ['SQLITE_IOERR_WRITE', 'host.eio', false],
    ['SQLITE_READONLY', 'host.erofs', false],
  ])('takes %s for a condition of the host', (code, expected, retryable) => {
    const record = errorRecord(withCode(code));
    expect(record).toMatchObject({ code: expected, retryable });
    expect(record.advice).not.toBe('');
  });

  it.each(['SQLITE_CONSTRAINT_PRIMARYKEY', 'SQLITE_FULLNESS', 'ERR_INVALID_ARG_TYPE'])(
    'takes %s for a bug',
    (code) => {
      expect(errorRecord(withCode(code)).code).toBe('internal.unexpected');
    },
  );

  it('keeps an error of ours with the messages of its causes', () => {
    const error = new Hyper2kvmError('fetch.corrupt', 'no', { advice: 'x', cause: withCode('EIO') });
    expect(errorRecord(error)).toMatchObject({ code: 'fetch.corrupt', causes: ['it failed'] });
  });
});
