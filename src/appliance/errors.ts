import { constants } from 'node:os';
import { Hyper2kvmError } from '../errors/error.js';
import type { QmpEvent } from '../machine/qmp.js';

const { EDQUOT, EFBIG, ENOSPC } = constants.errno;
const FULL: ReadonlySet<number> = new Set([ENOSPC, EDQUOT]);
/** These write what they read to a file of the host; all others write into the guest. */
const WRITES_ON_HOST = new Set(['download', 'tar_out_opts', 'find0']);

/**
 * guestfs-c-api's words when its QEMU is gone (libguestfs, lib/proto.c and lib/conn-socket.c), which come
 * before QMP closes or after.
 */
const QEMU_GONE = /appliance closed the connection unexpectedly|connection to the appliance (?:was )?lost/i;

/** What a failed call of libguestfs' C API means. `errno` 0: it gave none. */
export function callError(call: string, message: string, errno: number): Hyper2kvmError {
  if (call !== 'launch' && QEMU_GONE.test(message)) return diedError(call, 'its QEMU ended', message);
  if (FULL.has(errno) && WRITES_ON_HOST.has(call)) {
    return new Hyper2kvmError('host.enospc', `${call}: ${message}`, {
      retryable: true,
    });
  }
  if (FULL.has(errno) && call !== 'launch') {
    return new Hyper2kvmError('fix.guest-full', `no space left in the guest: ${message}`);
  }
  if (errno === EFBIG && WRITES_ON_HOST.has(call)) {
    return new Hyper2kvmError('inspect.configuration-too-large', `${call} has no end: ${message}`);
  }
  const code = call === 'launch' ? 'guest.launch-failed' : 'guest.call-failed';
  const number = errno === 0 ? '' : ` (errno ${errno})`;
  return new Hyper2kvmError(code, `${call}: ${message}${number}`, {
    retryable: call === 'launch',
    ...(errno === 0 ? {} : { errno }),
  });
}

/** Whether a call failed with this errno. */
export function hasErrno(error: unknown, errno: number): boolean {
  return error instanceof Hyper2kvmError && error.code === 'guest.call-failed' && error.errno === errno;
}

export function diedError(call: string, how: string, stderr: string): Hyper2kvmError {
  return new Hyper2kvmError('guest.died', `the appliance process was lost in ${call}: ${how}`, {
    retryable: true,
    ...(stderr === '' ? {} : { cause: new Error(stderr) }),
  });
}

export function timeoutError(call: string, seconds: number): Hyper2kvmError {
  return new Hyper2kvmError('guest.timeout', `the appliance did not finish ${call} within ${seconds} s`, {
    retryable: true,
  });
}

/**
 * What a BLOCK_IO_ERROR of QEMU means (qapi/block-core.json): with `stop` the appliance stands still until
 * somebody resumes it, so its calls would only end with the time limit. Null for other events, and where the
 * guest is told of the error: then the call fails by itself.
 */
export function diskError({ name, data }: QmpEvent): Hyper2kvmError | null {
  if (name !== 'BLOCK_IO_ERROR' || data.action !== 'stop') return null;
  const why = typeof data.reason === 'string' ? data.reason : 'no reason given';
  if (data.nospace === true) {
    return new Hyper2kvmError('host.enospc', `the appliance cannot write to its overlay: ${why}`, {
      retryable: true,
    });
  }
  return new Hyper2kvmError('host.eio', `the appliance’s disk failed (${String(data.operation)}): ${why}`);
}
