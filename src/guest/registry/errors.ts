import { Hyper2kvmError } from '../../errors/error.js';

/** The hive contradicts itself, or leads out of itself. `what` in the field's words. */
export function corruptHive(what: string): Hyper2kvmError {
  return new Hyper2kvmError('guest.hive-corrupt', `the registry hive is damaged: ${what}`);
}

/** The last write to the hive was not finished, and its logs do not finish it: `why`. */
export function dirtyHive(why: string): Hyper2kvmError {
  return new Hyper2kvmError('guest.hive-dirty', `the registry hive was not closed: ${why}`);
}
