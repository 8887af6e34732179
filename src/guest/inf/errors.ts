import { Hyper2kvmError } from '../../errors/error.js';

export function badInf(what: string): Hyper2kvmError {
  return new Hyper2kvmError('guest.inf-invalid', `the INF file cannot be used: ${what}`);
}
