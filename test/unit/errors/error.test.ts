import { describe, expect, it } from 'vitest';
import { CATALOGUE } from '../../../src/errors/catalogue.js';
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

describe('advice', () => {
  it('is the catalogue’s where the thrower gives none', () => {
    const { advice } = new Hyper2kvmError('fetch.empty', 'no files');
    expect(advice).toBe('Copy the disk into it and drop it again.');
  });

  it('is followed by the facts of this error', () => {
    const { advice } = new Hyper2kvmError('fetch.empty', 'no files', { facts: 'It has: lost+found.' });
    expect(advice).toBe('Copy the disk into it and drop it again. It has: lost+found.');
  });

  it('is the thrower’s where it has its own, also none', () => {
    expect(new Hyper2kvmError('fetch.empty', 'no files', { advice: 'Wait.' }).advice).toBe('Wait.');
    expect(new Hyper2kvmError('fetch.empty', 'no files', { advice: '' }).advice).toBe('');
  });

  it('is whole sentences for every code', () => {
    const entries = Object.values(CATALOGUE).flatMap((section) => Object.entries(section));
    expect(entries.length).toBeGreaterThan(100);
    const unfinished = entries.filter(
      ([, { meaning, advice }]) => !/\.$/.test(meaning) || !/\.\)?$/.test(advice),
    );
    expect(unfinished.map(([name]) => name)).toEqual([]);
  });
});
