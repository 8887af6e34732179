import type { GuestReader } from '../../access/guest-reader.js';
import { describeAsIs, type OtherSystem, UNKNOWN } from '../base/as-is.js';
import type {
  Detection,
  FamilyInspection,
  GuestDisks,
  InspectContext,
  Inspected,
  RootCandidate,
} from '../base/inspection.js';
import { devicesFor } from './devices.js';
import { freeBsdFacts, systemOfFiles } from './files.js';
import { systemOfPartitions } from './partition-types.js';

export const asIsInspection: FamilyInspection = { detect, inspect };

async function detect(reader: GuestReader, { storage }: GuestDisks): Promise<Detection> {
  const system = systemOfPartitions(storage) ?? (await systemOfFiles(reader, storage.filesystems));
  return { root: system === null ? null : { device: system.device, options: '' }, unmountable: [] };
}

async function inspect(
  reader: GuestReader,
  _root: RootCandidate,
  context: InspectContext,
): Promise<Inspected> {
  const { filesystems } = context.storage;
  const seen = systemOfPartitions(context.storage) ?? (await systemOfFiles(reader, filesystems)) ?? UNKNOWN;
  const facts = seen.os_type === 'freebsd' ? await freeBsdFacts(reader, filesystems) : null;
  const system: OtherSystem = {
    ...seen,
    distro: facts?.distro ?? seen.distro,
    name: facts?.name ?? seen.name,
    version: facts?.version ?? seen.version,
  };
  const reason = `${system.name} is on ${system.device}: hyper2kvm has no changes for such a system`;
  return describeAsIs(reader, { system, reason, devices: devicesFor(system, facts) }, context);
}
