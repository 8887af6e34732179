import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { withoutKvm } from '../../../src/appliance/appliance.js';
import { callError, diskError } from '../../../src/appliance/errors.js';
import { probeAccelerator } from '../../../src/machine/accelerator.js';

const log = pino({ level: 'silent' });
const { signal } = new AbortController();

describe('no space left', () => {
  it('is the host’s where a call writes to a file of the host: the job waits for space', () => {
    const error = callError('tar_out_opts', 'write: /work/snapshot.part: No space left on device', 28);
    expect(error).toMatchObject({ code: 'host.enospc', retryable: true });
  });

  it('is the guest’s where a call writes into the guest: that does not pass', () => {
    expect(callError('write', '/etc/fstab: No space left on device', 28)).toMatchObject({
      code: 'fix.guest-full',
      retryable: false,
    });
  });

  it('is named for what it is when the guest sends more than the limit', () => {
    expect(callError('tar_out_opts', 'write: File too large', 27).code).toBe(
      'inspect.configuration-too-large',
    );
  });
});

describe('a call that fails because QEMU is gone', () => {
  it('says nothing about the guest’s filesystem, and is tried again', () => {
    const message = 'appliance closed the connection unexpectedly, see earlier error messages';
    expect(callError('tar_out_opts', message, 0)).toMatchObject({ code: 'guest.died', retryable: true });
  });
});

describe('a BLOCK_IO_ERROR of the appliance', () => {
  const event = (data: Record<string, unknown>) => ({ name: 'BLOCK_IO_ERROR', data, seconds: 0 });

  it('that stopped it for want of space is a full disk, which passes', () => {
    const data = { action: 'stop', nospace: true, operation: 'write', reason: 'No space left on device' };
    expect(diskError(event(data))).toMatchObject({ code: 'host.enospc', retryable: true });
  });

  it('that stopped it for another reason is the storage’s', () => {
    const data = { action: 'stop', nospace: false, operation: 'read', reason: 'Input/output error' };
    expect(diskError(event(data))).toMatchObject({ code: 'host.eio', retryable: false });
  });

  it('that the guest is told of is left to its call', () => {
    expect(diskError(event({ action: 'report', operation: 'read' }))).toBeNull();
    expect(diskError({ name: 'STOP', data: {} })).toBeNull();
  });
});

describe('an appliance that does not start with KVM', () => {
  it('and not without it either says nothing against KVM', async () => {
    const kinds: string[] = [];
    const start = (kind: string) => {
      kinds.push(kind);
      return Promise.reject(new Error('disk full'));
    };
    await expect(withoutKvm(start, 'kvm', { signal, log })).rejects.toThrow('disk full');
    expect(kinds).toEqual(['kvm', 'tcg']);
    expect((await probeAccelerator({ signal })).reason).not.toContain('disk full');
  });

  it('but does without takes KVM out of use', async () => {
    const start = (kind: string) =>
      kind === 'kvm' ? Promise.reject(new Error('failed to set MSR')) : Promise.resolve(kind);
    expect(await withoutKvm(start, 'kvm', { signal, log })).toBe('tcg');
    expect(await probeAccelerator({ signal })).toEqual({
      kind: 'tcg',
      obstacle: 'broken',
      reason: 'an appliance did not start with KVM: failed to set MSR',
    });
  });
});
