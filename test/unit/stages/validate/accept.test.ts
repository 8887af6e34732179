import { describe, expect, it } from 'vitest';
import { configSchema, type JobOptions, jobOptionsSchema } from '../../../../src/config/schema.js';
import { bootWarnings } from '../../../../src/families/linux/boot-warnings.js';
import type { Boot } from '../../../../src/model/boot.js';
import { acceptBoot } from '../../../../src/stages/validate/accept.js';
import { validateStage } from '../../../../src/stages/validate/index.js';

import { sampleBoot } from '../../report/sample.js';

const options = (validate: Record<string, unknown> = {}): JobOptions =>
  jobOptionsSchema.parse({ config: configSchema.parse({ validate }) });
const codeOf = (boot: Boot | null, validate: Record<string, unknown> = {}) =>
  acceptBoot({ boot, directory: 'boot', content: null }, options(validate))?.code ?? null;

type Guest = NonNullable<Boot['guest']>;
const guest = (extra: Partial<Guest> = {}): Guest => ({
  ...{ addresses: ['10.0.2.15'], mounts: [], missing_mounts: [], swaps: [], failed_units: [] },
  ...extra,
});
const booted = (said: Partial<Guest> | null, network = { addresses: [] as string[], dhcp: false }): Boot => {
  if (said === null) return { ...sampleBoot, guest: null };
  return { ...sampleBoot, guest: guest(said), warnings: bootWarnings(guest(said), network) };
};

describe('acceptBoot', () => {
  const failure = { signature: 'kernel-panic', meaning: 'It panicked.', advice: 'Look.' };
  const failed: Boot = { ...sampleBoot, verdict: 'failed', level: 'kernel', failure };

  it('fails a boot that is required', () => {
    expect(codeOf(failed)).toBe('validate.kernel-panic');
    expect(codeOf(failed, { required: false })).toBeNull();
    expect(codeOf(failed, { required: false, require: ['mounts'] })).toBeNull();
    expect(codeOf(null, { require: ['mounts'] })).toBeNull();
  });

  it('lets warnings pass unless their kind is required', () => {
    const boot = booted(
      { missing_mounts: ['/srv'], failed_units: ['a.service'] },
      { addresses: ['10.1.2.3'], dhcp: false },
    );
    expect(codeOf(boot)).toBeNull();
    expect(codeOf(boot, { require: ['mounts', 'network', 'units'] })).toBe('validate.missing-mounts');
    expect(codeOf(boot, { require: ['network'] })).toBe('validate.missing-address');
    expect(codeOf(boot, { require: ['units'] })).toBe('validate.failed-units');
    expect(codeOf(booted({ missing_mounts: ['/srv'] }), { require: ['network', 'units'] })).toBeNull();
    const silent = booted({ addresses: [] }, { addresses: [], dhcp: true });
    expect(codeOf(silent, { require: ['network'] })).toBe('validate.no-address');
  });

  it('does not take silence for a proof', () => {
    expect(codeOf(booted(null), { require: ['mounts'] })).toBe('validate.not-reported');
    expect(codeOf(booted(null))).toBeNull();
  });

  it('is no part of what the boot depends on: another policy needs no other boot', () => {
    const of = (validate: Record<string, unknown>) =>
      JSON.stringify(validateStage.dependsOn(options(validate)));
    expect(of({ required: false, require: ['units'] })).toBe(of({}));
    expect(of({ memory_mib: 2048 })).not.toBe(of({}));
  });
});
