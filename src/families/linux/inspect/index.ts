import { join } from 'node:path';
import type { GuestReader } from '../../../access/guest-reader.js';
import type { Warnings } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { writeDurable } from '../../../files/durable.js';
import { writeSnapshot } from '../../../guest/snapshot-file.js';
import type { LinuxIdentity } from '../../../model/identity.js';
import { COMMON_DEVICES, describeAsIs } from '../../base/as-is.js';
import type {
  Detection,
  FamilyInspection,
  GuestDisks,
  InspectContext,
  Inspected,
  RootCandidate,
} from '../../base/inspection.js';
import { architecture } from './architecture.js';
import { markBooted } from './booted-root.js';
import { chooseRoot } from './choose-root.js';
import { identify } from './identity.js';
import { hasKernelImage, readKernels } from './kernels.js';
import { withMountpoints } from './mountpoints.js';
import { findRoots } from './roots.js';
import { readUnifiedImages, withCommandLines, withoutKernel } from './unified-images.js';
import { takeSnapshot } from './what-to-snapshot.js';
import { systemWithoutFixes } from './without-fixes.js';

const SNAPSHOT = 'snapshot.json';
const LISTINGS = 'initramfs.json';

export const linuxInspection: FamilyInspection = { detect, inspect };

async function detect(reader: GuestReader, { storage, controllers }: GuestDisks): Promise<Detection> {
  const { filesystems } = storage;
  const search = await findRoots(reader, filesystems, controllers);
  if (search.roots.length > 1)
    search.roots = await markBooted(reader, search.roots, { filesystems, controllers });
  return { root: chooseRoot(search, filesystems), unmountable: search.unmountable };
}

async function inspect(
  reader: GuestReader,
  root: RootCandidate,
  context: InspectContext,
): Promise<Inspected> {
  const { storage, workDirectory, signal } = context;
  const warnings: Warnings = [];
  context.progress({ percent: 65, step: 'taking the configuration snapshot' });
  const { tree: files, mounts, devices } = await takeSnapshot(reader, root, context, warnings);
  const unfixable = systemWithoutFixes(files);
  if (unfixable !== null) {
    await reader.unmountAll();
    const device = root.device;
    const { reason, ...named } = unfixable;
    const system = { os_type: 'linux', device, disk: null, ...named } as const;
    return describeAsIs(reader, { system, reason, devices: COMMON_DEVICES }, context);
  }

  context.progress({ percent: 80, step: 'listing the initramfs of every kernel' });
  const unified = await readUnifiedImages(reader, files, { workDirectory, signal, warnings });
  const tree = withCommandLines(files, unified);
  const { kernels, listings } = await readKernels(reader, tree, unified, { workDirectory, signal });
  warnings.push(...withoutKernel(unified, kernels));
  if (kernels.length === 0 && !hasKernelImage(tree)) throw noKernel(root);
  const facts = identify(tree, storage.partitions);
  const identity: LinuxIdentity = {
    os_type: 'linux',
    ...facts,
    firmware: context.firmware ?? facts.firmware,
    architecture: await architecture(reader),
    kernels,
    unified_images: unified.map(({ path, version, signed }) => ({ path, version, signed })),
    partitions: storage.partitions,
    filesystems: withMountpoints(tree, devices, root),
    root: root.device,
    mounts,
    encrypted: storage.filesystems.some((filesystem) => filesystem.type === 'crypto_LUKS'),
  };
  await reader.unmountAll();

  const snapshotSha256 = await writeSnapshot(join(workDirectory, SNAPSHOT), tree);
  await writeDurable(join(workDirectory, LISTINGS), JSON.stringify(listings));
  return { identity, snapshot: SNAPSHOT, snapshotSha256, initramfsListings: LISTINGS, warnings };
}

function noKernel({ device }: RootCandidate): Hyper2kvmError {
  return new Hyper2kvmError(
    'inspect.no-kernel',
    `${device} holds a Linux system, but no kernel is in its /boot`,
  );
}
