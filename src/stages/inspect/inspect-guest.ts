import type { GuestReader } from '../../access/guest-reader.js';
import type { Storage } from '../../access/storage.js';
import type { Warnings } from '../../access/tolerate.js';
import { COMMON_DEVICES, describeAsIs, UNKNOWN } from '../../families/base/as-is.js';
import type { InspectContext, Inspected } from '../../families/base/inspection.js';
import { syncPath } from '../../files/durable.js';
import type { Warning } from '../../model/plan.js';
import { findSystem } from './find-system.js';
import type { LuksKey } from './luks-keys.js';
import type { InspectOutput } from './output.js';
import { readStorage } from './storage.js';

export interface InspectGuestRequest
  extends Pick<InspectContext, 'controllers' | 'chosenRoot' | 'firmware' | 'nics' | 'workDirectory'> {
  keys: readonly LuksKey[];
  /** The identifiers in the images of each disk. */
  diskIds: readonly (readonly string[])[];
  /** A running guest has mounted its own filesystems, and others cannot be examined. */
  isOffline: boolean;
  /** Why the guest cannot be looked into, where it is to be converted all the same; absent: it is. */
  unread?: { code: string; reason: string };
}

/** The thread is terminated from outside instead. */
const NEVER = new AbortController().signal;

/** Finds the system on the VM's disks and writes its snapshot to the work directory. */
export async function inspectGuest(
  reader: GuestReader,
  request: InspectGuestRequest,
  progress: InspectContext['progress'],
): Promise<InspectOutput> {
  const { controllers, chosenRoot, firmware, nics, workDirectory, keys, diskIds, isOffline, unread } =
    request;
  await reader.unmountAll();

  progress({ percent: 50, step: 'reading partitions and filesystems' });
  const warnings: Warnings = [];
  if (unread !== undefined) {
    // Its storage may be what cannot be read.
    const storage =
      unread.code === 'inspect.too-many-volumes'
        ? NO_STORAGE
        : await readStorage(reader.devices, { keys: [], controllers, diskIds }, warnings);
    const seen = { system: UNKNOWN, reason: unread.reason, devices: COMMON_DEVICES };
    const found = await describeAsIs(reader, seen, { storage, firmware, workDirectory });
    await syncPath(workDirectory);
    return outputOf(found, storage, [...warnings, skippedAll(unread)]);
  }
  const storage = await readStorage(reader.devices, { keys, controllers, diskIds }, warnings);
  const { family, root, unmountable } = await findSystem(reader, { storage, controllers, chosenRoot });
  warnings.push(
    ...(isOffline ? unmountable.map(({ device, reason }) => skipped(device, reason)) : []),
    ...storage.filesystems
      .filter(({ snapshot_of }) => snapshot_of === root.device)
      .map(({ device }) => snapshotOf(root.device, device)),
  );
  const found = await family.inspect(reader, root, {
    ...{ storage, controllers, chosenRoot, firmware, nics },
    ...{ workDirectory, signal: NEVER, progress },
  });
  await syncPath(workDirectory);
  return outputOf(found, storage, warnings);
}

const NO_STORAGE: Storage = {
  partitions: [],
  filesystems: [],
  unlocked: [],
  arrays: [],
  duplicateGroups: [],
};

function outputOf(found: Inspected, storage: Storage, warnings: Warnings): InspectOutput {
  return {
    identity: found.identity,
    snapshot: found.snapshot,
    snapshot_sha256: found.snapshotSha256,
    initramfs_listings: found.initramfsListings,
    unlocked: storage.unlocked,
    warnings: [...warnings, ...found.warnings],
  };
}

const skippedAll = ({ code, reason }: { code: string; reason: string }): Warning => ({
  fixer: 'inspect',
  code: 'inspect.skipped',
  message: `the guest was not looked into: ${reason} (${code})`,
});

const skipped = (device: string, reason: string): Warning => ({
  fixer: 'inspect',
  code: 'inspect.skipped',
  message: `${device} was not examined: ${reason}`,
});

const snapshotOf = (root: string, device: string): Warning => ({
  fixer: 'inspect',
  code: 'inspect.snapshot',
  message: `${device} is a snapshot of the root ${root}: it keeps the state from before the conversion`,
});
