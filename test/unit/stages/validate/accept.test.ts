import { describe, expect, it } from 'vitest';
import { configSchema, type JobOptions, jobOptionsSchema } from '../../../../src/config/schema.js';
import type { Boot } from '../../../../src/model/boot.js';
import { acceptBoot } from '../../../../src/stages/validate/accept.js';
import { validateStage } from '../../../../src/stages/validate/index.js';
import { bootWarnings } from '../../../../src/stages/validate/warnings.js';
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
  const boot: Boot = { ...sampleBoot, guest: said === null ? null : guest(said) };
  return { ...boot, warnings: bootWarnings(boot, network) };
};
const codes = (boot: Boot) => boot.warnings.map(({ code }) => code);

describe('bootWarnings', () => {
  it('is silent about a guest that has all that it is configured to have', () => {
    expect(codes(booted({}, { addresses: ['10.0.2.15'], dhcp: true }))).toEqual([]);
    expect(codes(booted({ addresses: [] }))).toEqual([]);
  });

  it('names missing mounts, failed units, and the fixed address that is not up', () => {
    const boot = booted(
      { missing_mounts: ['/srv', '/data'], failed_units: ['srv.mount', 'app.service'] },
      { addresses: ['10.1.2.3', 'fd00::5'], dhcp: false },
    );
    expect(codes(boot)).toEqual([
      'validate.missing-mounts',
      'validate.missing-address',
      'validate.failed-units',
    ]);
    expect(boot.warnings[0]?.message).toContain('/srv, /data');
    expect(boot.warnings[1]?.message).toContain('10.1.2.3, fd00::5');
    expect(boot.warnings[2]?.message).toContain('srv.mount, app.service');
    // For machines it is booted all the same.
    expect(boot.verdict).toBe('booted');
  });

  it('names a DHCP guest without an address, or with one that it gave to itself', () => {
    expect(codes(booted({ addresses: [] }, { addresses: [], dhcp: true }))).toEqual(['validate.no-address']);
    expect(codes(booted({ addresses: ['169.254.3.4'] }, { addresses: [], dhcp: true }))).toEqual([
      'validate.no-address',
    ]);
  });

  it('does not list the hundreds of units of a hostile guest', () => {
    const units = Array.from({ length: 500 }, (_, index) => `unit${index}.service`);
    expect(booted({ failed_units: units }).warnings[0]?.message).toMatch(/unit9\.service and 490 more$/);
  });

  it('has none for a boot that failed, and for a guest that says nothing', () => {
    const network = { addresses: ['10.1.2.3'], dhcp: true };
    expect(bootWarnings({ verdict: 'failed', guest: guest({ missing_mounts: ['/srv'] }) }, network)).toEqual(
      [],
    );
    expect(bootWarnings({ verdict: 'booted', guest: null }, network)).toEqual([]);
  });
});

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
