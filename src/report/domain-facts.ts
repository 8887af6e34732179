import { basename } from 'node:path';
import type { JobOptions } from '../config/schema.js';
import type { DomainFacts } from '../machine/libvirt-domain.js';
import { domainNics } from '../machine/nics.js';
import type { StageOutputs } from './report.js';

/** For a VM whose description says nothing (a bare disk): enough for a server install, raised by the operator in `[vm]` of job.toml. */
const DEFAULT_MEMORY_MIB = 2_048;
const DEFAULT_VCPUS = 2;
const VIRTIO = { disk_bus: 'virtio', nic_model: 'virtio' } as const;

/** The operator's word (job.toml) goes before the VM's own description, that before what was found in the guest. */
export function domainFacts(
  job: { job: string; vm: string; options: JobOptions },
  outputs: StageOutputs,
  disks: DomainFacts['disks'],
): DomainFacts {
  const { identity, fetch, plan } = outputs;
  const { vm } = job.options;
  const hardware = fetch?.hardware ?? null;
  return {
    job: job.job,
    vm: basename(job.vm),
    sourceName: hardware?.name ?? null,
    osName: identity?.os_name ?? null,
    osType: identity?.os_type ?? 'unknown',
    firmware: vm.firmware ?? identity?.firmware ?? hardware?.firmware ?? 'bios',
    memoryMib: vm.memory ?? hardware?.memory_mib ?? DEFAULT_MEMORY_MIB,
    vcpus: vm.vcpus ?? hardware?.vcpus ?? DEFAULT_VCPUS,
    devices: plan?.devices ?? VIRTIO,
    nics: domainNics(hardware, plan ?? null),
    disks,
  };
}
