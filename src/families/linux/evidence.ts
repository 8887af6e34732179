import { type BootFileKind, bootFiles, mapCommandLines } from '../../guest/command-line-files.js';
import type { GuestTree } from '../../guest/tree.js';
import { machineArchitecture } from '../../machine/architecture.js';
import type { Operation } from '../../operations/registry.js';
import type { WriteFile } from '../../operations/write-file.js';
import { putFile, putLink, rewriteFile } from '../base/edit.js';
import type { Evidence } from '../base/family.js';
import { appendArguments, hasKernelArguments, serialConsoleOptions } from './command-line.js';
import { REPORT_BEGIN, REPORT_END } from './guest-report.js';

const UNIT = 'hyper2kvm-evidence.service';
const UNIT_PATH = `/etc/systemd/system/${UNIT}`;
const SCRIPT_PATH = '/etc/hyper2kvm-evidence.sh';

/**
 * A PC's kernel counts interrupts of the timer over a few milliseconds, and panics where it sees too few
 * ("IO-APIC + timer doesn't work!"), which they are when a busy host emulates the machine. On KVM it does not
 * look either.
 */
const NO_TIMER_CHECK = 'no_timer_check';

/**
 * Returns what the boot test adds to a guest so that its boot can be read on the first serial port. It goes
 * into an overlay that is thrown away, never to the delivered disk. A guest without systemd gets only the
 * console. Pure.
 */
export function evidence({ tree, identity }: Evidenced): Evidence {
  const { console: port, isPc } = machineArchitecture(identity.architecture);
  const kernelOptions = `${serialConsoleOptions(identity)}${isPc ? ` ${NO_TIMER_CHECK}` : ''}`;
  const consoles = consoleOperations(tree, kernelOptions);
  const isSystemd = identity.init_system === 'systemd';
  const units = isSystemd ? unitOperations(tree, port) : [];
  const changes = [
    ...consoles.map(({ path }) => `${path}: ${kernelOptions}, without quiet`),
    ...(units.length === 0 ? [] : [`${UNIT}: prints addresses, mounts, swap and failed units on ${port}`]),
    ...(units.length === 0 ? [] : ['systemd waits up to 600 s for devices and units']),
  ];
  return { operations: [...consoles, ...units], changes, unit: isSystemd };
}

interface Evidenced {
  tree: GuestTree;
  identity: { init_system: string; architecture: string };
}

/** Sources from which boot loader files are generated are irrelevant to a single boot. */
const READ_AT_BOOT: readonly BootFileKind[] = [
  'grub2',
  'grubenv',
  'bls',
  'unified',
  'grub-legacy',
  'extlinux',
  'elilo',
];
const QUIET = /(?<!\S)(quiet|splash(=\S*)?|rhgb|console=\S+|no_timer_check)(?!\S)\s*/g;

function consoleOperations(tree: GuestTree, consoles: string): WriteFile[] {
  const cause = { fixer: 'evidence', reason: 'the boot test reads the serial console' };
  return bootFiles(tree)
    .filter(({ kind }) => READ_AT_BOOT.includes(kind))
    .flatMap(({ path, kind }) =>
      rewriteFile(tree, path, cause, (text) =>
        mapCommandLines(text, kind, (args, line) => {
          const verbose = args.replace(QUIET, '').trimEnd();
          return hasKernelArguments(kind, line) ? appendArguments(verbose, consoles) : verbose;
        }),
      ),
    );
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
 * The unit that prints the report. `Type=idle` starts it when the other jobs are done, at most 5 s late, and
 * without an ordering towards getty or multi-user.target it delays neither. The shell gets the script as an
 * argument, so that a noexec or labelled filesystem does not matter.
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

/**
 * Returns the script of the unit. It waits up to a minute for the system to be up and for an address (the
 * kernel's table of local IPv4 routes), then prints. It needs only sh, cat, sleep and systemctl.
 */
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
	echo ${REPORT_BEGIN}
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
	echo ${REPORT_END}
}
text=$(report 2>/dev/null)
printf '%s\\n' "$text" > /dev/${port}
`;
