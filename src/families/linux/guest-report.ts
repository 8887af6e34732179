import { type FstabLine, mayBeAbsent, parseFstab, unescapeField } from '../../guest/fstab.js';
import type { GuestReport, ReportFormat } from '../base/boot-patterns.js';
import { shortAddress } from './network/backend.js';

export const REPORT_BEGIN = 'HYPER2KVM-EVIDENCE-BEGIN';
export const REPORT_END = 'HYPER2KVM-EVIDENCE-END';

/** What `systemctl is-system-running` and `systemctl is-active` say of a system that is up. */
const UP = /^(?:running|degraded|active)$/;

/** What the unit of the evidence layer (evidence.ts) prints. */
export const guestReport: ReportFormat = {
  begin: REPORT_BEGIN,
  end: REPORT_END,
  /**
   * The unit reports after a minute even when the boot has not ended: only systemd's own word makes it as
   * good as a login prompt.
   */
  isUp(lines) {
    const from = lines.indexOf('== state');
    return from !== -1 && lines.slice(from + 1, from + 3).some((line) => UP.test(line));
  },
  parse: parseReport,
};

/**
 * Reads what the script printed. Lines of the kernel or a login prompt that came in between are passed over.
 * Pure, for any text.
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
 * /proc/net/fib_trie: `|-- ADDRESS` followed by `/32 host LOCAL` for an address of the guest's own; it shows
 * each twice.
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
 * /proc/net/if_inet6: address, index, prefix length, scope, flags, device. Scope 10 is the host's own, 20 a
 * link's.
 */
function globalAddresses(lines: readonly string[][]): string[] {
  return lines.flatMap(([digits = '', , , scope = '', , device]) => {
    if (!/^[0-9a-f]{32}$/.test(digits) || device === undefined || /^[12]0$/.test(scope)) return [];
    return shortAddress(digits.replace(/(?<=.)(?=(.{4})+$)/g, ':')) ?? [];
  });
}

/** The mount point of a line of fstab that must be mounted after a boot. */
function wantedMountpoint(entry: FstabLine): string[] {
  const { mountpoint, type, options } = entry;
  if (!mountpoint.startsWith('/') || type === 'swap') return [];
  if (mayBeAbsent(entry) || options.includes('x-systemd.automount')) return [];
  return [mountpoint];
}
