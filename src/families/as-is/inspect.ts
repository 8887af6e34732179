import type { GuestReader } from '../../access/guest-reader.js';
import { describeAsIs, type OtherSystem, UNKNOWN } from '../base/as-is.js';
import type {
  Detection,
  FamilyInspection,
  GuestDisks,
  InspectContext,
  Inspected,
  RootCandidate,
  Unmountable,
} from '../base/inspection.js';
import { devicesFor } from './devices.js';
import { freeBsdFacts, systemOfFiles } from './files.js';
import { systemOfPartitions } from './partition-types.js';

export const asIsInspection: FamilyInspection = { detect, inspect };

async function detect(
  reader: GuestReader,
  { storage, unmountable }: GuestDisks & Pick<Detection, 'unmountable'>,
): Promise<Detection> {
  const system = systemOfPartitions(storage) ?? (await systemOfFiles(reader, storage.filesystems));
  if (system === null || isDoubtful(system, unmountable)) return { root: null, unmountable: [] };
  return { root: { device: system.device, options: '', system }, unmountable: [] };
}

/**
 * True if a filesystem that could not be mounted may be the root that the VM boots, because it is not on a later
 * disk: beside it, a pool of ZFS or a vendor's partition may be data.
 */
const isDoubtful = (system: OtherSystem, unmountable: readonly Unmountable[]): boolean =>
  unmountable.some(({ disk }) => (disk ?? 0) <= (system.disk ?? 0));

async function inspect(
  reader: GuestReader,
  { system: seen = UNKNOWN }: RootCandidate,
  context: InspectContext,
): Promise<Inspected> {
  const { filesystems } = context.storage;
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
