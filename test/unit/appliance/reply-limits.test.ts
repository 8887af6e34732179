import { expect, it } from 'vitest';
import { callError, hasErrno } from '../../../src/appliance/errors.js';
import { GuestfsError } from '../../../src/appliance/guestfs-library.js';
import { limited } from '../../../src/appliance/reply-limits.js';

const MIB = 1024 * 1024;

it('a real guest’s answers pass', () => {
  for (const answer of [['etc', 'usr'], Buffer.alloc(4 * MIB), 'text', { size: 1 }, 7, undefined])
    expect(limited('call', answer)).toBe(answer);
});

it.each([
  ['names without an end', Array.from({ length: 100_001 }, () => 'a')],
  ['long names', Array.from({ length: 40_000 }, () => 'n'.repeat(255))],
  ['long names of entries', Array.from({ length: 40_000 }, () => ({ type: 'r', name: 'n'.repeat(255) }))],
  ['a file without an end', Buffer.alloc(9 * MIB)],
  ['a text without an end', 'x'.repeat(9 * MIB)],
])('%s are refused as what the guest’s disk refuses', (_what, answer) => {
  let thrown: unknown;
  try {
    limited('ls', answer);
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof GuestfsError)) throw new Error('nothing was refused');
  const error = callError('ls', thrown.message, thrown.errno);
  expect(error).toMatchObject({ code: 'guest.call-failed', retryable: false });
  expect(hasErrno(error, 27)).toBe(true);
});
