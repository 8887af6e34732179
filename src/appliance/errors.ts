import { constants } from 'node:os';
import { Hyper2kvmError } from '../errors/error.js';
import type { QmpEvent } from '../machine/qmp.js';

const { EDQUOT, EFBIG, ENOSPC } = constants.errno;
const FULL: ReadonlySet<number> = new Set([ENOSPC, EDQUOT]);
/** These write what they read to a file on the host; all others write into the guest. */
const WRITES_ON_HOST = new Set(['tar_out_opts', 'find0']);

/**
 * Messages of the C API when its QEMU has exited (libguestfs, lib/proto.c and lib/conn-socket.c), which
 * arrive before or after QMP closes.
 */
const QEMU_GONE = /appliance closed the connection unexpectedly|connection to the appliance (?:was )?lost/i;

/** Returns the error for a failed call of libguestfs's C API. `errno` is 0 if it gave none. */
export function callError(call: string, message: string, errno: number): Hyper2kvmError {
  if (call !== 'launch' && QEMU_GONE.test(message)) return diedError(call, 'its QEMU exited', message);
  if (FULL.has(errno) && WRITES_ON_HOST.has(call)) {
    return new Hyper2kvmError('host.enospc', `${call}: ${message}`, {
      retryable: true,
    });
  }
  if (FULL.has(errno) && call !== 'launch') {
    return new Hyper2kvmError('fix.guest-full', `no space left in the guest: ${message}`);
  }
  if (errno === EFBIG && WRITES_ON_HOST.has(call)) {
    return new Hyper2kvmError('inspect.configuration-too-large', `${call} returned too much: ${message}`);
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
 * Returns the error for QEMU's BLOCK_IO_ERROR (qapi/block-core.json): with `stop` the appliance is stopped
 * until it is resumed, so its calls would only end by the time limit. Null for other events, and if the guest
 * is told about the error, which makes the call fail by itself.
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
