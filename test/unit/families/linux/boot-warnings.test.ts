import { describe, expect, it } from 'vitest';
import type { GuestReport } from '../../../../src/families/base/boot-patterns.js';
import { bootWarnings } from '../../../../src/families/linux/boot-warnings.js';

const warningsOf = (
  said: Partial<GuestReport>,
  network = { addresses: [] as string[], dhcp: false },
): ReturnType<typeof bootWarnings> =>
  bootWarnings(
    { ...{ addresses: ['10.0.2.15'], mounts: [], missing_mounts: [], swaps: [], failed_units: [] }, ...said },
    network,
  );
const codesOf = (warnings: ReturnType<typeof bootWarnings>) => warnings.map(({ code }) => code);

describe('bootWarnings', () => {
  it('is silent about a guest that has all that it is configured to have', () => {
    expect(codesOf(warningsOf({}, { addresses: ['10.0.2.15'], dhcp: true }))).toEqual([]);
    expect(codesOf(warningsOf({ addresses: [] }))).toEqual([]);
  });

  it('names missing mounts, failed units, and the fixed address that is not up', () => {
    const warnings = warningsOf(
      { missing_mounts: ['/srv', '/data'], failed_units: ['srv.mount', 'app.service'] },
      { addresses: ['10.1.2.3', 'fd00::5'], dhcp: false },
    );
    expect(codesOf(warnings)).toEqual([
      'validate.missing-mounts',
      'validate.missing-address',
      'validate.failed-units',
    ]);
    expect(warnings[0]?.message).toContain('/srv, /data');
    expect(warnings[1]?.message).toContain('10.1.2.3, fd00::5');
    expect(warnings[2]?.message).toContain('srv.mount, app.service');
  });

  it('names a DHCP guest without an address, or with one that it gave to itself', () => {
    expect(codesOf(warningsOf({ addresses: [] }, { addresses: [], dhcp: true }))).toEqual([
      'validate.no-address',
    ]);
    expect(codesOf(warningsOf({ addresses: ['169.254.3.4'] }, { addresses: [], dhcp: true }))).toEqual([
      'validate.no-address',
    ]);
  });

  it('does not list the hundreds of units of a hostile guest', () => {
    const units = Array.from({ length: 500 }, (_, index) => `unit${index}.service`);
    expect(warningsOf({ failed_units: units })[0]?.message).toMatch(/unit9\.service and 490 more$/);
  });
});
