import { Hyper2kvmError } from '../../errors/error.js';

export function badPe(what: string): Hyper2kvmError {
  return new Hyper2kvmError('guest.pe-invalid', `the Windows program cannot be read: ${what}`);
}

export function badSignature(what: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('guest.signature-invalid', `the signature cannot be read: ${what}`, { cause });
}
