import { join } from 'node:path';
import type { JobOptions } from '../config/schema.js';
import { type Accelerator, isNative, probeAccelerator } from '../machine/accelerator.js';
import type { UefiImages } from '../machine/architecture.js';
import { findUefi } from '../machine/firmware.js';
import { libvirtDomain } from '../machine/libvirt-domain.js';
import { LIBVIRT_URI, type LibvirtHost, readLibvirtFacts } from '../machine/libvirt-host.js';
import { type Machine, machineOf } from '../machine/machine.js';
import { type StartHost, startCommand } from '../machine/start-command.js';
import { TPM_EMULATOR } from '../machine/tpm.js';
import { shellWord } from '../text/format.js';
import { aclEntry } from '../tools/acl.js';
import { findProgram } from '../tools/find-program.js';
import { stillClosed } from './libvirt-access.js';
import type { Report, StageOutputs } from './report.js';

interface DeliveredJob {
  job: string;
  vm: string;
  options: JobOptions;
  /** The absolute path of the published bundle. */
  finalDirectory: string;
}

/** The VM of the bundle: its libvirt definition, and how to start it on this host. */
export interface Delivered {
  domain: string;
  start: NonNullable<Report['start']>;
}

/**
 * Returns the VM as VALIDATE booted it, but with its own memory and CPUs, on the disks of the bundle. Pure.
 */
export function deliveredMachine(
  { vm, options, finalDirectory }: Pick<DeliveredJob, 'vm' | 'options' | 'finalDirectory'>,
  outputs: StageOutputs,
  diskNames: readonly string[],
): Machine {
  const { identity, fetch, plan } = outputs;
  return machineOf({
    name: vm,
    hardware: fetch?.hardware ?? null,
    identity,
    plan,
    vm: options.vm,
    disks: diskNames.map((name, n) => {
      const { format, sector_size } = outputs.disks[n]!;
      const sectorSize = sector_size === undefined ? {} : { sectorSize: sector_size };
      return { file: join(finalDirectory, name), format, ...sectorSize };
    }),
  });
}

/** The facts about this host that decide how the VM is started. */
export interface Host extends StartHost {
  libvirt: LibvirtHost;
  /** What libvirt runs the VM on; it may open /dev/kvm even if this user may not. */
  libvirtAccelerator: 'kvm' | 'tcg';
  /** Directories on the path to the disks that libvirt's QEMU may not pass through. */
  closed: readonly string[];
  /** Whether the commands are printed for root; other users must name the system's libvirt. */
  isRoot: boolean;
}

/**
 * Returns the facts about this host. KVM counts if the boot test ran on it, or if it passes its own probe.
 */
export async function readHostFacts(
  machine: Machine,
  boot: StageOutputs['boot'],
  place: { bundleDirectory: string; finalDirectory: string },
  signal: AbortSignal,
): Promise<Host> {
  const { firmware } = machine;
  const uefi = firmware === 'uefi' ? await uefiOf(machine) : null;
  const libvirt = await readLibvirtFacts(signal);
  const closed = libvirt.user === null ? [] : await stillClosed(libvirt.user, place, signal);
  const { kind, obstacle } = await acceleratorOf(machine, boot, signal);
  return {
    accelerator: kind,
    uefi,
    hasTpmEmulator: machine.tpm && (await findProgram(TPM_EMULATOR.program)) !== null,
    libvirt,
    libvirtAccelerator: obstacle === 'denied' ? 'kvm' : kind,
    closed,
    isRoot: process.getuid?.() === 0,
  };
}

/** If none is installed here, the command names where it usually is. */
async function uefiOf({ architecture, secureBoot }: Machine): Promise<UefiImages> {
  const { images, secureImages } = architecture.uefi;
  return (await findUefi(architecture, { secureBoot })) ?? (secureBoot ? secureImages : images)[0]!;
}

async function acceleratorOf(
  { architecture }: Machine,
  boot: StageOutputs['boot'],
  signal: AbortSignal,
): Promise<Pick<Accelerator, 'kind' | 'obstacle'>> {
  if (!isNative(architecture)) return { kind: 'tcg', obstacle: 'broken' };
  return boot?.accelerator === 'kvm' ? { kind: 'kvm', obstacle: null } : probeAccelerator({ signal });
}

/** Returns the domain and the commands that start it. Pure. */
export function deliver(job: DeliveredJob, outputs: StageOutputs, machine: Machine, host: Host): Delivered {
  return {
    domain: libvirtDomain(machine, {
      job: job.job,
      vm: job.vm,
      sourceName: outputs.fetch?.hardware.name ?? null,
      osName: outputs.identity?.os_name ?? null,
      accelerator: host.libvirtAccelerator,
      network: host.libvirt.network,
    }),
    start: { libvirt: libvirtCommands(job, host), qemu: startCommand(machine, host) },
  };
}

/** Returns lines for a shell, each of which can be repeated. */
function libvirtCommands({ vm, finalDirectory }: DeliveredJob, host: Host): string[] {
  const { libvirt, closed, isRoot } = host;
  const { isInstalled, user, network, isNetworkActive } = libvirt;
  const lines: string[] = [];
  if (!isInstalled)
    lines.push('# libvirt is not installed here; Debian: apt install libvirt-daemon-system libvirt-clients');
  if (!isRoot)
    lines.push(`export LIBVIRT_DEFAULT_URI=${LIBVIRT_URI}  # for root and the members of the group libvirt`);
  if (user !== null && closed.length > 0)
    lines.push(`setfacl -m ${aclEntry(user)} ${closed.map(shellWord).join(' ')}`);
  if (network !== null && isNetworkActive !== true) {
    const name = shellWord(network);
    lines.push(`virsh net-list --name | grep -qx ${name} || virsh net-start ${name}`);
  }
  const file = shellWord(join(finalDirectory, `${vm}.xml`));
  return [...lines, `virsh define ${file} && virsh start ${shellWord(vm)}`];
}
