import { expect, it } from 'vitest';
import { demote, probeAccelerator } from '../../../src/machine/accelerator.js';

it('a KVM that failed on a real guest is used by nobody any more, for the first reason', async () => {
  demote('KVM stopped with an internal error in a guest');
  demote('another');
  const { signal } = new AbortController();
  expect(await probeAccelerator({ signal })).toEqual({
    kind: 'tcg',
    obstacle: 'broken',
    reason: 'KVM stopped with an internal error in a guest',
  });
});
