import { join } from 'node:path';
import type { JobOptions } from '../config/schema.js';
import { isNative, probeAccelerator } from '../machine/accelerator.js';
import { findUefi } from '../machine/firmware.js';
import { libvirtDomain } from '../machine/libvirt-domain.js';
import { type Machine, machineOf } from '../machine/machine.js';
import { type StartHost, startCommand } from '../machine/start-command.js';
import type { Report } from '../model/report.js';
import { shellWord } from '../text/format.js';
import type { StageOutputs } from './report.js';

interface DeliveredJob {
  job: string;
  vm: string;
  options: JobOptions;
  /** Absolute path that the bundle will have. */
  finalDirectory: string;
}

/** The VM of the bundle: as libvirt defines it, and how it is started on this host. */
export interface Delivered {
  domain: string;
  start: NonNullable<Report['start']>;
}

/** Returns the VM as VALIDATE booted it, with its own memory and CPUs, on the disks of the bundle. Pure. */
export function deliveredMachine(
  { options, finalDirectory }: Pick<DeliveredJob, 'options' | 'finalDirectory'>,
  outputs: StageOutputs,
  diskNames: readonly string[],
): Machine {
  const { identity, fetch, plan } = outputs;
  return machineOf({
    hardware: fetch?.hardware ?? null,
    identity,
    plan,
    vm: options.vm,
    disks: diskNames.map((name, n) => ({
      file: join(finalDirectory, name),
      format: outputs.disks[n]!.format,
    })),
  });
}

/** Returns what of this host starts `machine`: KVM where it has run the boot test or passes its own. */
export async function startHost(
  machine: Machine,
  boot: StageOutputs['boot'],
  signal: AbortSignal,
): Promise<StartHost> {
  const { architecture, firmware } = machine;
  const uefi = firmware === 'uefi' ? ((await findUefi(architecture)) ?? architecture.uefi.images[0]!) : null;
  if (!isNative(architecture)) return { accelerator: 'tcg', uefi };
  if (boot?.accelerator === 'kvm') return { accelerator: 'kvm', uefi };
  return { accelerator: (await probeAccelerator({ signal })).kind, uefi };
}

/** Returns the domain and the commands that start it. Pure. */
export function deliver(
  job: DeliveredJob,
  outputs: StageOutputs,
  machine: Machine,
  host: StartHost,
): Delivered {
  const { accelerator } = host;
  const file = shellWord(join(job.finalDirectory, `${job.vm}.xml`));
  return {
    domain: libvirtDomain(machine, {
      job: job.job,
      vm: job.vm,
      sourceName: outputs.fetch?.hardware.name ?? null,
      osName: outputs.identity?.os_name ?? null,
      accelerator,
    }),
    start: {
      accelerator,
      libvirt: [`virsh define ${file} && virsh start ${shellWord(job.vm)}`],
      qemu: startCommand(machine, host),
    },
  };
}
