import type { JobOptions } from '../../config/schema.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { BOOT_WARNINGS, type Boot } from '../../model/boot.js';
import type { ValidateOutput } from './output.js';

/**
 * Applies the policy on a boot: `validate.required` for the boot itself, `validate.require` for what came up
 * with it. Pure.
 */
export function acceptBoot({ boot }: ValidateOutput, { config }: JobOptions): Hyper2kvmError | null {
  if (boot === null) return null;
  const { required, require } = config.validate;
  if (boot.failure !== null) return required ? notBooted(boot, boot.failure) : null;
  if (require.length === 0) return null;
  if (boot.guest === null) return notReported(require);
  const found = boot.warnings.find(({ code }) => require.includes(BOOT_WARNINGS[code]));
  return found === undefined ? null : incomplete(found);
}

function notBooted({ verdict, level }: Boot, failure: NonNullable<Boot['failure']>): Hyper2kvmError {
  const what = verdict === 'failed' ? 'did not boot' : 'was not seen to boot';
  return new Hyper2kvmError(
    `validate.${failure.signature}`,
    `The converted VM ${what}; it came to level ${level}. ${failure.meaning}`,
    { advice: failure.advice },
  );
}

function incomplete({ code, message }: Boot['warnings'][number]): Hyper2kvmError {
  const what = BOOT_WARNINGS[code];
  return new Hyper2kvmError(
    code,
    `The converted VM booted, but not with all that validate.require asks for: ${message}`,
    {
      advice: `See boot/boot.json and boot/serial.log. If that is intended, run \`retry --set validate.require=\` without "${what}"; it does not boot the VM again.`,
    },
  );
}

function notReported(require: readonly string[]): Hyper2kvmError {
  return new Hyper2kvmError(
    'validate.not-reported',
    `The converted VM booted, but did not report its ${require.join(', ')} (validate.require)`,
  );
}
