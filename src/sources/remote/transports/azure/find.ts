import type { AzureConnection } from '../../../../config/connections.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { TransportRequest } from '../base/transport.js';
import type { ArmClient } from './arm-client.js';
import {
  type AzureDisk,
  type AzureVm,
  diskIds,
  isDeallocated,
  parseDisk,
  parseVm,
  refuseDisk,
} from './facts.js';
import { parseResourceId, type ResourceId } from './resource-id.js';

/** What a job.toml asks for. */
export interface Found {
  id: ResourceId;
  vm: AzureVm | null;
  /** Of a snapshot no other is made. */
  disks: { file: string; disk: AzureDisk; isSnapshot: boolean }[];
  isAtRest: boolean;
}

/** Errors: `remote.not-found`, `remote.powered-on`, `remote.unsupported-disk`, those of the server. */
export async function find(
  { vm: [wanted = ''], power }: TransportRequest,
  { subscription }: AzureConnection,
  arm: ArmClient,
  signal: AbortSignal,
): Promise<Found> {
  const id = parseResourceId(wanted, subscription);
  if (id.kind !== 'virtualMachines') {
    const isSnapshot = id.kind === 'snapshots';
    const disk = await readDisk(id.id, arm, signal);
    const isAtRest = isSnapshot || disk.properties.diskState !== 'attached';
    refuseRunning(id, isAtRest, power);
    return { id, vm: null, disks: [{ file: `${id.name}.vhd`, disk, isSnapshot }], isAtRest };
  }
  const vm = parseVm(await arm.get(id.id, signal, { query: '$expand=instanceView' }));
  const isAtRest = isDeallocated(vm);
  refuseRunning(id, isAtRest, power);
  const disks: Found['disks'] = [];
  for (const { label, id: diskId } of diskIds(vm)) {
    const disk = await readDisk(parseResourceId(diskId, subscription).id, arm, signal);
    disks.push({ file: `${id.name}-${label}.vhd`, disk, isSnapshot: false });
  }
  return { id, vm, disks, isAtRest };
}

async function readDisk(id: string, arm: ArmClient, signal: AbortSignal): Promise<AzureDisk> {
  const disk = parseDisk(await arm.get(id, signal));
  refuseDisk(disk);
  return { ...disk, id };
}

function refuseRunning({ name }: ResourceId, isAtRest: boolean, power: string): void {
  if (isAtRest || power === 'snapshot') return;
  throw new Hyper2kvmError('remote.powered-on', `${printable(name)} is not deallocated`, {
    advice:
      'Deallocate it (`az vm deallocate -g GROUP -n NAME`; one that was shut down from within still holds its disks), or put `power = "snapshot"` into the job.toml to copy its present state.',
  });
}
