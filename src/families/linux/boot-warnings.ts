import type { Boot } from '../../model/boot.js';
import type { GuestReport } from '../base/boot-patterns.js';
import type { NetworkExpectation } from '../base/family.js';

/** Returns a warning for each thing that a booted guest reports and its configuration contradicts. Pure. */
export function bootWarnings(guest: GuestReport, network: NetworkExpectation): Boot['warnings'] {
  const warnings: Boot['warnings'] = [];
  const warn = (code: Boot['warnings'][number]['code'], what: string, names: readonly string[]) => {
    if (names.length > 0) warnings.push({ code, message: `${what}: ${listed(names)}` });
  };
  warn('validate.missing-mounts', 'not mounted although /etc/fstab says so', guest.missing_mounts);
  const missing = network.addresses.filter((address) => !guest.addresses.includes(address));
  warn('validate.missing-address', 'configured in the guest, but not assigned after the boot', missing);
  if (network.dhcp && !guest.addresses.some((address) => !address.startsWith('169.254.')))
    warnings.push({
      code: 'validate.no-address',
      message:
        'the guest is configured for DHCP but has no address after the boot, although a DHCP server is there',
    });
  warn('validate.failed-units', 'failed units', guest.failed_units);
  return warnings;
}

const MAX_NAMES = 10;

/** Joins the first of the names: a guest can have hundreds, and boot.json has all of them under `guest`. */
function listed(names: readonly string[]): string {
  const rest = names.length - MAX_NAMES;
  return `${names.slice(0, MAX_NAMES).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
