import { type FstabLine, mayBeAbsent, parseFstab, unescapeField } from '../../guest/fstab.js';
import type { GuestReport, ReportFormat } from '../base/boot-patterns.js';
import { shortAddress } from './network/backend.js';

export const REPORT_BEGIN = 'HYPER2KVM-EVIDENCE-BEGIN';
export const REPORT_END = 'HYPER2KVM-EVIDENCE-END';

/** What `systemctl is-system-running` and `systemctl is-active` print for a system that is up. */
const UP = /^(?:running|degraded|active)$/;

/** The report that the unit of the boot test (evidence.ts) prints. */
export const guestReport: ReportFormat = {
  begin: REPORT_BEGIN,
  end: REPORT_END,
  /**
   * The unit reports after a minute even if the boot has not finished, so only systemd's own state counts as
   * much as a login prompt.
   */
  isUp(lines) {
    const from = lines.indexOf('== state');
    return from !== -1 && lines.slice(from + 1, from + 3).some((line) => UP.test(line));
  },
  parse: parseReport,
};

/**
 * Parses the script's output, skipping lines of the kernel or of a login prompt in between. Pure, for any
 * text.
 */
function parseReport(text: string): GuestReport {
  const sections = new Map<string, string[]>();
  let current: string[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd();
    const title = /^== (\w+)$/.exec(line)?.[1];
    if (line === REPORT_END) break;
    if (title !== undefined) {
      current = [];
      sections.set(title, current);
    } else if (line !== '' && !/^\[ *\d+\.\d+\] /.test(line)) current.push(line);
  }
  const fields = (name: string) => (sections.get(name) ?? []).map((line) => line.trim().split(/\s+/));
  const mounts = fields('mounts').flatMap(([device, mountpoint, type, options]) =>
    device === undefined || mountpoint === undefined || type === undefined || options === undefined
      ? []
      : [{ device: unescapeField(device), mountpoint: unescapeField(mountpoint), type }],
  );
  const mounted = new Set(mounts.map(({ mountpoint }) => mountpoint));
  return {
    addresses: [...localAddresses(fields('fib_trie')), ...globalAddresses(fields('if_inet6'))],
    mounts,
    missing_mounts: parseFstab((sections.get('fstab') ?? []).join('\n'))
      .flatMap(wantedMountpoint)
      .filter((mountpoint) => !mounted.has(mountpoint)),
    swaps: fields('swaps').flatMap(([name = '', , size]) =>
      name.startsWith('/') && size !== undefined ? [unescapeField(name)] : [],
    ),
    failed_units: fields('failed').flatMap(([unit = '']) => (/^\S+\.\w+$/.test(unit) ? [unit] : [])),
  };
}

/**
 * Returns the addresses in /proc/net/fib_trie: `|-- ADDRESS` followed by `/32 host LOCAL` for one of the
 * guest's own. Each appears twice.
 */
function localAddresses(lines: readonly string[][]): string[] {
  const found = new Set<string>();
  let address = '';
  for (const [first, second = '', third] of lines) {
    if (first === '|--') address = second;
    else if (first === '/32' && second === 'host' && third === 'LOCAL' && !address.startsWith('127.'))
      found.add(address);
  }
  return [...found];
}

/**
 * Returns the addresses in /proc/net/if_inet6, whose columns are address, index, prefix length, scope, flags
 * and device. Scope 10 is the loopback, 20 link-local.
 */
function globalAddresses(lines: readonly string[][]): string[] {
  return lines.flatMap(([digits = '', , , scope = '', , device]) => {
    if (!/^[0-9a-f]{32}$/.test(digits) || device === undefined || /^[12]0$/.test(scope)) return [];
    return shortAddress(digits.replace(/(?<=.)(?=(.{4})+$)/g, ':')) ?? [];
  });
}

/** Returns the mount point of an fstab line if it must be mounted after a boot. */
function wantedMountpoint(entry: FstabLine): string[] {
  const { mountpoint, type, options } = entry;
  if (!mountpoint.startsWith('/') || type === 'swap') return [];
  if (mayBeAbsent(entry) || options.includes('x-systemd.automount')) return [];
  return [mountpoint];
}
