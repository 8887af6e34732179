import type { GuestTree } from '../../guest/tree.js';
import { machineArchitecture } from '../../machine/architecture.js';
import type { Boot } from '../../model/boot.js';
import type { Identity } from '../../model/identity.js';
import type { Operation } from '../../model/operation.js';
import { putFile, putLink, rewriteFile } from '../base/edit.js';
import { appendArguments, hasKernelArguments, serialConsoleOptions } from './command-line.js';
import { type BootFileKind, bootFiles, mapCommandLines } from './command-line-files.js';
import { shortAddress } from './network/backend.js';

export const EVIDENCE_BEGIN = 'HYPER2KVM-EVIDENCE-BEGIN';
export const EVIDENCE_END = 'HYPER2KVM-EVIDENCE-END';

const UNIT = 'hyper2kvm-evidence.service';
const UNIT_PATH = `/etc/systemd/system/${UNIT}`;
const SCRIPT_PATH = '/etc/hyper2kvm-evidence.sh';

/**
 * What the throw-away layer of the boot test adds to a guest so that its boot can be read on the first serial port. Nothing of it reaches the delivered
 * disk. `changes` says it in one line each. A guest without systemd gets the console only. Pure.
 */
export function evidenceOperations(
  tree: GuestTree,
  identity: Pick<Identity, 'init_system' | 'architecture'>,
): { operations: Operation[]; changes: string[] } {
  const kernelOptions = serialConsoleOptions(identity);
  const port = machineArchitecture(identity.architecture).console;
  const consoles = consoleOperations(tree, kernelOptions);
  const units = identity.init_system === 'systemd' ? unitOperations(tree, port) : [];
  const changes = [
    ...consoles.map(({ path }) => `${path}: ${kernelOptions}, without quiet`),
    ...(units.length === 0 ? [] : [`${UNIT}: prints addresses, mounts, swap and failed units on ${port}`]),
    ...(units.length === 0 ? [] : ['systemd waits up to 600 s for devices and units']),
  ];
  return { operations: [...consoles, ...units], changes };
}

type WriteFile = Extract<Operation, { op: 'write_file' }>;

/** Sources that the boot loader's files are generated from do not matter to one boot. */
const READ_AT_BOOT: readonly BootFileKind[] = [
  'grub2',
  'grubenv',
  'bls',
  'unified',
  'grub-legacy',
  'extlinux',
];
const QUIET = /(?<!\S)(quiet|splash(=\S*)?|rhgb|console=\S+)(?!\S)\s*/g;

function consoleOperations(tree: GuestTree, consoles: string): WriteFile[] {
  const cause = { fixer: 'evidence', reason: 'the boot test reads the serial console' };
  return bootFiles(tree)
    .filter(({ kind }) => READ_AT_BOOT.includes(kind))
    .flatMap(({ path, kind }) =>
      rewriteFile(tree, path, cause, (text) =>
        mapCommandLines(text, kind, (args, line) => {
          const talking = args.replace(QUIET, '').trimEnd();
          return hasKernelArguments(kind, line) ? appendArguments(talking, consoles) : talking;
        }),
      ),
    )
    .filter((operation) => operation.op === 'write_file');
}

function unitOperations(tree: GuestTree, port: string): Operation[] {
  const cause = { fixer: 'evidence', reason: 'the boot test asks the guest what came up' };
  const timeouts = '[Manager]\nDefaultTimeoutStartSec=600s\nDefaultDeviceTimeoutSec=600s\n';
  const patience = {
    fixer: 'evidence',
    reason: 'without KVM a healthy guest needs more than 90 s for its devices',
  };
  return [
    ...putFile(tree, '/etc/systemd/system.conf.d/99-hyper2kvm-evidence.conf', patience, timeouts),
    ...putFile(tree, SCRIPT_PATH, cause, scriptFor(port), 0o755),
    ...putFile(tree, UNIT_PATH, cause, UNIT_TEXT),
    ...putLink(tree, `/etc/systemd/system/multi-user.target.wants/${UNIT}`, UNIT_PATH, cause),
  ];
}

/**
 * `idle` starts when the other jobs are done, at most 5 s late; without an order towards getty or multi-user.target it delays neither. The shell reads
 * the script as an argument, so that a noexec or labelled file system does not matter.
 */
const UNIT_TEXT = `[Unit]
Description=Boot evidence for hyper2kvm
DefaultDependencies=no
After=basic.target
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=idle
ExecStart=/bin/sh ${SCRIPT_PATH}
StandardInput=null
StandardOutput=null
StandardError=null
TimeoutStartSec=infinity
`;

/** Waits up to a minute for the system to be up and for an address (the kernel's table of local IPv4 routes), then prints. Only sh, cat, sleep, systemctl. */
const scriptFor = (port: string) => `#!/bin/sh
# Boot evidence for hyper2kvm: in the boot test's throw-away layer only.
has_address() {
	while read -r a b c; do
		case "$a$b" in '|--'*) last=$b ;; '/32host') case "$last" in 127.*) ;; *) return 0 ;; esac ;; esac
	done < /proc/net/fib_trie
	return 1
}
is_up() {
	case "$(systemctl is-system-running 2>/dev/null)" in running|degraded|maintenance) return 0 ;; esac
	systemctl is-active -q multi-user.target
}
tries=0
until { is_up && has_address; } || [ "$tries" -ge 60 ]; do
	tries=$((tries + 1))
	sleep 1
done
report() {
	echo
	echo ${EVIDENCE_BEGIN}
	echo '== state'
	systemctl is-system-running
	systemctl is-active multi-user.target
	echo '== fib_trie'
	cat /proc/net/fib_trie
	echo '== if_inet6'
	cat /proc/net/if_inet6
	echo '== mounts'
	cat /proc/self/mounts
	echo '== swaps'
	cat /proc/swaps
	echo '== failed'
	systemctl --failed --no-legend --plain
	echo '== fstab'
	cat /etc/fstab
	echo ${EVIDENCE_END}
}
text=$(report 2>/dev/null)
printf '%s\\n' "$text" > /dev/${port}
`;

type GuestReport = NonNullable<Boot['guest']>;

/** Reads what the script printed. Lines of the kernel or a login prompt that came in between are passed over. Pure, for any text. */
export function parseEvidence(text: string): GuestReport {
  const sections = new Map<string, string[]>();
  let current: string[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd();
    const title = /^== (\w+)$/.exec(line)?.[1];
    if (line === EVIDENCE_END) break;
    if (title !== undefined) {
      current = [];
      sections.set(title, current);
    } else if (line !== '' && !/^\[ *\d+\.\d+\] /.test(line)) current.push(line);
  }
  const fields = (name: string) => (sections.get(name) ?? []).map((line) => line.trim().split(/\s+/));
  const mounts = fields('mounts').flatMap(([device, mountpoint, type, options]) =>
    device === undefined || mountpoint === undefined || type === undefined || options === undefined
      ? []
      : [{ device: unescapeMount(device), mountpoint: unescapeMount(mountpoint), type }],
  );
  const mounted = new Set(mounts.map(({ mountpoint }) => mountpoint));
  return {
    addresses: [...localAddresses(fields('fib_trie')), ...globalAddresses(fields('if_inet6'))],
    mounts,
    missing_mounts: fields('fstab')
      .flatMap(wantedMountpoint)
      .filter((mountpoint) => !mounted.has(mountpoint)),
    swaps: fields('swaps').flatMap(([name = '', , size]) =>
      name.startsWith('/') && size !== undefined ? [unescapeMount(name)] : [],
    ),
    failed_units: fields('failed').flatMap(([unit = '']) => (/^\S+\.\w+$/.test(unit) ? [unit] : [])),
  };
}

/** /proc/net/fib_trie: `|-- ADDRESS` followed by `/32 host LOCAL` for an address of the guest's own; it shows each twice. */
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
function wantedMountpoint([spec = '#', mountpoint = '', type = '', options = '']: string[]): string[] {
  if (spec.startsWith('#') || !mountpoint.startsWith('/') || type === 'swap') return [];
  const may = ['noauto', 'nofail', 'x-systemd.automount'];
  if (options.split(',').some((option) => may.includes(option))) return [];
  const path = unescapeMount(mountpoint);
  return [path === '/' ? path : path.replace(/\/+$/, '')];
}

/** fstab(5) and /proc/self/mounts write blanks as octal escapes. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
