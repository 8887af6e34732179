import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { type Accelerator, probeAccelerator } from '../../machine/accelerator.js';
import { formatBytes } from '../../text/format.js';
import { type Check, type Finding, fail, ok, warn } from './check.js';

const MIB = 1024 * 1024;
/** Memory for Node, the tools and the page cache, beside the virtual machines. */
const DAEMON_MIB = 512;
/** inotify limits: the daemon watches incoming and one level of directories in it. */
const LEAST_WATCHES = 8_192;
const LEAST_INSTANCES = 16;

/** Runs firmware on KVM, because the existence of /dev/kvm says little on nested hosts. */
export const checkAccelerator: Check = async ({ config, signal }) => {
  const { kind, obstacle, reason } = await probeAccelerator({ signal });
  const wanted = config.validate.accelerator;
  if (kind === 'kvm') return [ok('kvm', reason)];
  if (wanted === 'tcg') return [ok('kvm', `not wanted (validate.accelerator = "tcg"); ${reason}`)];
  return [
    (wanted === 'kvm' ? fail : warn)(
      'kvm',
      reason,
      `${kvmFix(obstacle)} Without KVM everything works, but 5 to 10 times slower.`,
    ),
  ];
};

export function kvmFix(obstacle: Accelerator['obstacle']): string {
  if (obstacle === 'denied') return 'adduser hyper2kvm kvm, then restart the daemon.';
  if (obstacle === 'missing') return 'modprobe kvm_intel (or kvm_amd).';
  return 'Switch on nested virtualization for this virtual host, or set validate.accelerator = "tcg".';
}

/** An emulated guest occupies two cores; several at once run into their own timeouts. */
export const checkProcessors: Check = async ({ config, signal }) => {
  const cores = availableParallelism();
  const { boots, appliances } = config.workers;
  const { kind } = await probeAccelerator({ signal });
  const crowded = kind === 'tcg' && boots + appliances > Math.max(2, cores);
  const detail = `${cores} cores for ${boots} boots and ${appliances} appliances at once`;
  return [
    crowded
      ? warn('processors', detail, 'Set workers.boots = 1 and workers.appliances = 1.')
      : ok('processors', detail),
  ];
};

export const checkMemory: Check = async ({ config }) => {
  const facts = await readFile('/proc/meminfo', 'utf8');
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(facts)?.[1] ?? 0) * 1024;
  const { workers, guest, validate } = config;
  const needed =
    (DAEMON_MIB + workers.appliances * guest.memory_mib + workers.boots * validate.memory_mib) * MIB;
  return [memoryFinding({ needed, total: bytes('MemTotal'), available: bytes('MemAvailable') })];
};

/** Pure. Values in bytes. */
export function memoryFinding(memory: { needed: number; total: number; available: number }): Finding {
  const { needed, total, available } = memory;
  const detail = `${formatBytes(available)} of ${formatBytes(total)} free, all slots together need ${formatBytes(needed)}`;
  const fix = 'Lower workers.appliances, workers.boots, guest.memory_mib or validate.memory_mib.';
  if (total < needed) return fail('memory', detail, fix);
  return available < needed ? warn('memory', detail, fix) : ok('memory', detail);
}

export const checkInotify: Check = async ({ config }) => {
  if (config.watch.polling) return [ok('inotify', 'not used (watch.polling = true)')];
  const limit = async (name: string) =>
    Number((await readFile(`/proc/sys/fs/inotify/${name}`, 'utf8').catch(() => '0')).trim());
  const [watches, instances] = await Promise.all([limit('max_user_watches'), limit('max_user_instances')]);
  return [inotifyFinding(watches, instances)];
};

/** Checks the limits in /proc/sys/fs/inotify for one user. Pure. */
export function inotifyFinding(watches: number, instances: number): Finding {
  const detail = `${watches} watches, ${instances} instances per user`;
  if (watches >= LEAST_WATCHES && instances >= LEAST_INSTANCES) return ok('inotify', detail);
  const fix = `sysctl fs.inotify.max_user_watches=${LEAST_WATCHES * 8} fs.inotify.max_user_instances=128, or set watch.polling = true`;
  return warn('inotify', detail, fix);
}
