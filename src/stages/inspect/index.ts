import { join } from 'node:path';
import { z } from 'zod';
import type { ApplianceSession } from '../../appliance/session.js';
import { SnapshotCollector, writeSnapshot } from '../../appliance/snapshot.js';
import type { Progress, Stage, StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { syncPath, writeDurable } from '../../files/durable.js';
import { type DeviceContext, resolveDevice } from '../../guest/device-names.js';
import { parseFstab } from '../../guest/fstab.js';
import { PROGRAM_DIRECTORIES } from '../../guest/programs.js';
import type { GuestTree } from '../../guest/tree.js';
import { GUEST_THREAD, runInThread } from '../../host/thread.js';
import type { Identity } from '../../model/identity.js';
import { fetchOutput } from '../fetch/output.js';
import { flattenOutput } from '../flatten/output.js';
import { architecture } from './architecture.js';
import { identify } from './identity.js';
import { hasKernelImage, readKernels } from './kernels.js';
import { followEarlyLinks, followLinks, realDirectory } from './links.js';
import { mountSystem } from './mounts.js';
import { type InspectOutput, inspectOutput } from './output.js';
import { chooseRoot, findRoots, type Root, readOnly } from './roots.js';
import { readStorage, type Storage } from './storage.js';
import type { Warnings } from './tolerate.js';
import { readUnifiedImages, withCommandLines, withoutKernel } from './unified-images.js';
import { readKeys } from './unlock.js';
import { volumeAliases } from './volume-names.js';

const inspectInput = z.object({ fetch: fetchOutput, flatten: flattenOutput });
type InspectInput = z.infer<typeof inspectInput>;

const THREAD = new URL('./thread.js', import.meta.url);
/** An initramfs is listed in a thread of its own, which has 600 s. */
const THREAD_SECONDS = 900;
/** The thread is ended from outside. */
const NEVER = new AbortController().signal;

/** Opens the VM in the appliance, finds its system, takes the configuration snapshot. Everything after works on what is returned here. */
export const inspectStage: Stage<InspectInput, InspectOutput> = {
  name: 'inspect',
  version: 4,
  lane: 'appliances',
  input: inspectInput,
  output: inspectOutput,
  dependsOn: (options) => ({
    firmware: options.vm.firmware ?? null,
    luks: options.config.guest.luks.map(({ device, key_file }) => [device, key_file]),
  }),
  enabled: (options) => options.kind === 'vm',
  async run(context, input) {
    context.progress({ percent: 0, step: 'launching the appliance' });
    const session = await context.appliance(input.flatten.disks.map((disk) => disk.image));
    const before = await session.traffic();
    const { options, source, workDirectory, signal } = context;
    const request: InspectRequest = {
      input,
      source,
      workDirectory,
      luks: options.config.guest.luks,
      firmware: options.vm.firmware ?? null,
    };
    const reply = async (question: unknown) => {
      const asked = question as InspectQuestion;
      if ('progress' in asked) return context.progress(asked.progress);
      return session.call(asked.call, ...(asked.args as never));
    };
    const limits = { ...GUEST_THREAD, seconds: THREAD_SECONDS, signal };
    const output = await runInThread<InspectOutput>(THREAD, request, limits, { reply });
    const after = await session.traffic();
    context.account({ read: after.read - before.read });
    return output;
  },
  files: ({ snapshot, initramfs_listings }) => [snapshot, initramfs_listings],
};

/** What the thread is given, a structured clone. */
export interface InspectRequest extends Pick<StageContext, 'source' | 'workDirectory'> {
  input: InspectInput;
  luks: StageContext['options']['config']['guest']['luks'];
  firmware: Identity['firmware'] | null;
}

/** What the thread asks for. */
export type InspectQuestion =
  | { progress: Progress }
  | { call: Parameters<ApplianceSession['call']>[0]; args: unknown[] };

/** In a thread: finds the system and takes the snapshot. Everything in the guest may be hostile. */
export async function inspectGuest(
  { input, source, workDirectory, luks, firmware }: InspectRequest,
  session: ApplianceSession,
  onProgress: (progress: Progress) => Promise<unknown>,
): Promise<InspectOutput> {
  await session.call('umount_all');

  await onProgress({ percent: 50, step: 'reading partitions and filesystems' });
  const warnings: Warnings = [];
  const controllers = input.flatten.disks.map((disk) => disk.controller);
  const keys = await readKeys(luks, source);
  const storage = await readStorage(session, { keys, controllers }, warnings);
  const search = await findRoots(session, storage.filesystems, controllers);
  const root = chooseRoot(search, storage.filesystems);
  for (const { device, reason } of search.unmountable)
    warnings.push({
      fixer: 'inspect',
      code: 'inspect.skipped',
      message: `${device} was not looked at: ${reason}`,
    });

  for (const { device, snapshot_of } of storage.filesystems)
    if (snapshot_of === root.device)
      warnings.push({
        fixer: 'inspect',
        code: 'inspect.snapshot',
        message: `${device} is a snapshot of the root ${root.device}: it keeps the state from before the conversion`,
      });

  await onProgress({ percent: 65, step: 'taking the configuration snapshot' });
  const found = { storage, controllers, root, warnings };
  const { tree: files, mounts, devices } = await takeSnapshot(session, workDirectory, found);

  await onProgress({ percent: 80, step: 'listing the initramfs of every kernel' });
  const unified = await readUnifiedImages(session, files, { workDirectory, signal: NEVER, warnings });
  const tree = withCommandLines(files, unified);
  const { kernels, listings } = await readKernels(session, tree, unified, { workDirectory, signal: NEVER });
  warnings.push(...withoutKernel(unified, kernels));
  if (kernels.length === 0 && !hasKernelImage(tree)) {
    throw new Hyper2kvmError(
      'inspect.no-kernel',
      `${root.device} holds a Linux system, but no kernel is in its /boot`,
      {
        advice:
          'Check that all disks of the VM were dropped and that its /etc/fstab mounts /boot; a container’s file system has no kernel and cannot boot.',
      },
    );
  }
  const facts = identify(tree, storage.partitions);
  const identity: Identity = {
    os_type: 'linux',
    ...facts,
    firmware: firmware ?? input.fetch.hardware.firmware ?? facts.firmware,
    architecture: await architecture(session, tree),
    kernels,
    unified_images: unified.map(({ path, version, signed }) => ({ path, version, signed })),
    partitions: storage.partitions,
    filesystems: withMountpoints(storage, tree, devices, root),
    root: root.device,
    mounts,
    encrypted: storage.filesystems.some((filesystem) => filesystem.type === 'crypto_LUKS'),
  };
  await session.call('umount_all');

  const snapshot = 'snapshot.json';
  const digest = await writeSnapshot(join(workDirectory, snapshot), tree);
  await writeDurable(join(workDirectory, 'initramfs.json'), JSON.stringify(listings));
  await syncPath(workDirectory);
  return {
    identity,
    snapshot,
    snapshot_sha256: digest,
    initramfs_listings: 'initramfs.json',
    unlocked: storage.unlocked,
    warnings,
  };
}

/** Programs, kernels and archives are not configuration: their names are enough. Patterns as GNU tar's `--exclude` takes them. */
const BOOT_EXCLUDES = [
  'vmlinu*',
  'initr*',
  'linux',
  'initramfs*',
  'kernel-*',
  'bzImage*',
  'Image-*',
  'System.map*',
  'config-*',
  'symvers-*',
  '*.img',
  '*.mod',
  '*.efi',
  '*.EFI',
  '*.pf2',
  '*.mo',
  '*.c32',
  'themes',
  'fonts',
  'memtest*',
];
const ETC_EXCLUDES = [
  './selinux/*/policy',
  './selinux/*/contexts',
  './selinux/*/modules',
  './pki',
  './ssl/certs',
  './ca-certificates',
  './.git',
  './alternatives',
];
const MODULES_EXCLUDES = [
  'kernel',
  'extra',
  'updates',
  'weak-updates',
  'build',
  'source',
  'vdso',
  '*.bin',
  '*.ko',
  '*.ko.*',
  'vmlinuz',
  'modules.symbols',
  'System.map',
];
const DPKG_EXCLUDES = [
  './info',
  './alternatives',
  './updates',
  './parts',
  './triggers',
  './*-old',
  './cmethopt',
];
const NAME_DIRECTORIES = [
  ...PROGRAM_DIRECTORIES,
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
  '/var/lib/rpm',
  '/usr/lib/sysimage/rpm',
  '/boot',
  '/efi',
];

interface Found {
  storage: Storage;
  controllers: readonly (string | null)[];
  root: Root;
  warnings: Warnings;
}

async function takeSnapshot(
  session: ApplianceSession,
  workDirectory: string,
  { storage, controllers, root, warnings }: Found,
) {
  await session.call('mount_options', readOnly(root.options), root.device, '/');
  const collector = new SnapshotCollector(session, workDirectory);
  // Only the top level: which of /bin, /lib, /sbin are links decides where everything else really is.
  await collector.capture({ directory: '/', excludes: ['./*/*'] });
  await collector.capture({ directory: '/etc', excludes: ETC_EXCLUDES });
  await followEarlyLinks(session, collector);
  const physical = { filesystems: storage.filesystems, controllers };
  const aliases = volumeAliases(collector.tree(), physical, storage);
  const devices: DeviceContext = { ...physical, aliases };
  const mounts = [
    { device: root.device, mountpoint: '/', options: root.options },
    ...(await mountSystem(session, collector.tree(), devices, root, warnings)),
  ];
  const place = (path: string) => realDirectory(session, collector, path);
  const boot = await place('/boot');
  await collector.capture({ directory: boot, excludes: BOOT_EXCLUDES });
  await collector.capture({ directory: await place('/efi'), excludes: BOOT_EXCLUDES });
  const lib = collector.tree().lstat('/lib')?.type === 'symlink' ? '/usr/lib' : '/lib';
  await collector.capture({ directory: `${lib}/modules`, excludes: MODULES_EXCLUDES });
  await collector.capture({ directory: '/var/lib/dpkg', excludes: DPKG_EXCLUDES });
  for (const directory of NAME_DIRECTORIES) {
    // Through a linked top directory (/bin → usr/bin) the same names would come twice.
    const top = directory.slice(0, `${directory}/`.indexOf('/', 1));
    if (collector.tree().lstat(top)?.type !== 'symlink') await collector.names(directory);
  }
  if (boot !== '/boot') await collector.names(boot);
  // Debian 11 and Ubuntu 18.04 may have systemd in a /lib of its own, SLES 12 in /usr/lib beside such a /lib.
  for (const path of new Set(['/usr/lib/os-release', '/usr/lib/systemd/systemd', `${lib}/systemd/systemd`]))
    await collectFile(session, collector, path);
  await followLinks(session, collector, warnings);
  return { tree: collector.tree(), mounts, devices };
}

/** Single files outside of the bulk directories; an executable only with its name. */
async function collectFile(
  session: ApplianceSession,
  collector: SnapshotCollector,
  path: string,
): Promise<void> {
  if (!(await session.call('is_file_opts', path, { followsymlinks: true }))) return;
  const { mode, uid, gid, size } = await session.call('statns', path);
  const content = size <= 64 * 1024 ? await session.call('read_file', path) : undefined;
  collector.add({ path, type: 'file', mode: mode & 0o7777, uid, gid, size, ...(content ? { content } : {}) });
}

function withMountpoints(
  storage: Storage,
  tree: GuestTree,
  devices: DeviceContext,
  root: Root,
): Storage['filesystems'] {
  const at = new Map<string, string>([[root.device, '/']]);
  const entries = parseFstab(tree.text('/etc/fstab')?.text ?? '');
  for (const { spec, mountpoint } of entries) {
    if (mountpoint === '') continue;
    const filesystem = resolveDevice(spec, devices);
    if (filesystem !== null && !at.has(filesystem.device)) at.set(filesystem.device, mountpoint);
  }
  return storage.filesystems.map((filesystem) => ({
    ...filesystem,
    mountpoint: at.get(filesystem.device) ?? null,
  }));
}
