import { join } from 'node:path';
import type { GuestReader } from '../../../access/guest-reader.js';
import type { Warnings } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { writeDurable } from '../../../files/durable.js';
import type { WindowsIdentity } from '../../../model/identity.js';
import type { FamilyInspection, InspectContext, Inspected, RootCandidate } from '../../base/inspection.js';
import { readAdapters, readRoutes } from './adapters.js';
import { windowsArchitecture } from './architecture.js';
import { bootMountpoint, chooseStore, findBootStores, mountedPath, storeFacts } from './boot-store.js';
import { captureKeys } from './capture.js';
import { hasDynamicDisk } from './dynamic-disks.js';
import { isHibernated } from './hibernation.js';
import { type GuestHive, MAX_HIVE_BYTES, naming, readHive } from './hives.js';
import { knownNames } from './names.js';
import { WindowsPaths } from './paths.js';
import { releaseOf } from './release.js';
import { detectWindows, findSystemRoot } from './roots.js';
import { writeWindowsSnapshot } from './snapshot.js';
import { installedPrograms, vmwareTools } from './tools.js';
import { readVirtioFiles } from './virtio-files.js';
import { volumeState } from './volume-state.js';
import { windowsWarnings } from './warnings.js';
import { BOOT_STORE_PLACES, SOFTWARE_PLACES, systemPlaces } from './what-to-capture.js';

const SNAPSHOT = 'snapshot.json';
/** Windows has no initramfs. */
const LISTINGS = 'initramfs.json';

export const windowsInspection: FamilyInspection = { detect: detectWindows, inspect };

async function inspect(
  reader: GuestReader,
  { device: root }: RootCandidate,
  context: InspectContext,
): Promise<Inspected> {
  const { storage, workDirectory } = context;
  const warnings: Warnings = [];
  context.progress({ percent: 60, step: 'reading the boot configuration' });
  const stores = await findBootStores(reader, storage, root, warnings);

  context.progress({ percent: 65, step: 'reading the registry' });
  await reader.mount({ device: root, mountpoint: '/', options: '' }, 'ro');
  const paths = new WindowsPaths(reader);
  const systemRoot = await findSystemRoot(paths);
  if (systemRoot === null) throw new Error(`${root} does not hold Windows any more`);
  const [system, software] = await readHives(reader, paths, systemRoot);
  const controlSet = naming(system.path, () => currentControlSet(system));
  const set = `ControlSet${String(controlSet).padStart(3, '0')}`;
  const architecture = await windowsArchitecture(reader, paths, { systemRoot, system: system.hive, set });
  const hibernated = await isHibernated(reader, paths);
  const names = await knownNames(reader, paths, systemRoot);
  const virtio = await readVirtioFiles(reader, paths, { systemRoot, system: system.hive, set });
  const elsewhere = await bootMountpoint(reader, paths, systemRoot);
  await reader.unmountAll();

  context.progress({ percent: 80, step: 'taking the configuration snapshot' });
  const store = chooseStore(stores, context.firmware, root, storage);
  const mountpoint = store?.device === root ? '/' : elsewhere;
  const mounts = [
    { device: root, mountpoint: '/', options: '' },
    ...(store === null || mountpoint === null || mountpoint === '/'
      ? []
      : [{ device: store.device, mountpoint, options: '' }]),
  ];
  const volumes = [];
  for (const { device } of mounts)
    if (storage.filesystems.some((filesystem) => filesystem.device === device && filesystem.type === 'ntfs'))
      volumes.push(await volumeState(reader, device));
  const storeFile = store === null || mountpoint === null ? null : mountedPath(mountpoint, store.file.path);
  const isGpt = storage.partitions.some(
    ({ disk, scheme }) => disk === diskOf(root, context) && scheme === 'gpt',
  );
  const programs = naming(software.path, () => installedPrograms(software.hive));
  const facts = naming(system.path, () => systemFacts(system, set, context));
  const identity: WindowsIdentity = {
    os_type: 'windows',
    ...naming(software.path, () => releaseOf(software.hive, system.hive, set)),
    ...facts,
    ...vmwareTools(programs, system.hive.key(`${set}\\Services`)),
    virtio_drivers: virtio.drivers,
    firmware: context.firmware ?? store?.firmware ?? (isGpt ? 'uefi' : 'bios'),
    bootloader: store === null ? 'unknown' : 'bootmgr',
    architecture,
    control_set: controlSet,
    system_root: systemRoot,
    partitions: storage.partitions,
    filesystems: storage.filesystems.map((filesystem) =>
      filesystem.device === root ? { ...filesystem, mountpoint: '/' } : filesystem,
    ),
    root,
    mounts,
    encrypted: storage.filesystems.some(({ type }) => type === 'BitLocker'),
    qemu_guest_agent: programs.some(({ name }) => /^QEMU guest agent\b/i.test(name)),
    hibernated,
    volumes,
    dynamic_disk: storage.partitions.some(
      (table) => table.disk === diskOf(root, context) && hasDynamicDisk(table),
    ),
    boot_store: store === null ? null : storeFacts(store, root, storage, mountpoint),
  };
  warnings.push(
    ...naming(software.path, () =>
      windowsWarnings({
        ...{ identity, storage, set, programs },
        system: system.hive,
        software: software.hive,
      }),
    ),
  );
  const snapshotSha256 = await writeWindowsSnapshot(join(workDirectory, SNAPSHOT), {
    version: 1,
    system: captured(system, systemPlaces(set)),
    software: captured(software, SOFTWARE_PLACES),
    boot_store:
      store === null || storeFile === null ? null : captured(store.file, BOOT_STORE_PLACES, storeFile),
    names: [...names, ...loaderNames(identity)].toSorted(),
    digests: virtio.digests,
  });
  await writeDurable(join(workDirectory, LISTINGS), '{}');
  return { identity, snapshot: SNAPSHOT, snapshotSha256, initramfsListings: LISTINGS, warnings };
}

async function readHives(
  reader: GuestReader,
  paths: WindowsPaths,
  systemRoot: string,
): Promise<[system: GuestHive, software: GuestHive]> {
  const read = async (name: string, mostBytes: number) => {
    const path = await paths.find(`${systemRoot}/System32/config/${name}`);
    if (path === null) throw new Error(`${systemRoot} has no ${name} hive any more`);
    return readHive(reader, paths, path, mostBytes);
  };
  return [await read('SYSTEM', MAX_HIVE_BYTES.system), await read('SOFTWARE', MAX_HIVE_BYTES.software)];
}

/** Windows' own `CurrentControlSet` is not in the file. */
function currentControlSet({ hive }: GuestHive): number {
  const select = hive.key('Select');
  const current = select?.number('Current') || select?.number('Default') || 0;
  if (current > 0 && current < 1000) return current;
  throw new Hyper2kvmError('guest.hive-corrupt', 'it does not say which control set is in use');
}

/** What SYSTEM alone tells. */
function systemFacts({ hive }: GuestHive, set: string, { nics }: InspectContext) {
  const control = `${set}\\Control`;
  const number = (path: string, name: string) => hive.key(path)?.number(name) ?? 0;
  const parameters = hive.key(`${set}\\Services\\Tcpip\\Parameters`);
  const computer = hive.key(`${control}\\ComputerName\\ComputerName`)?.text('ComputerName');
  return {
    hostname: parameters?.text('Hostname') || parameters?.text('NV Hostname') || computer || '',
    interfaces: readAdapters(hive, set, nics),
    routes: readRoutes(hive, set),
    smbios_uuid: guidOf(hive.key('HardwareConfig')?.text('LastConfig') ?? ''),
    clock:
      number(`${control}\\TimeZoneInformation`, 'RealTimeIsUniversal') === 0
        ? ('localtime' as const)
        : ('utc' as const),
    fast_startup: number(`${control}\\Session Manager\\Power`, 'HiberbootEnabled') !== 0,
  };
}

const guidOf = (text: string): string | null =>
  /^\{([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}$/i.exec(text)?.[1]?.toLowerCase() ?? null;

const diskOf = (root: string, { storage }: InspectContext) =>
  storage.filesystems.find(({ device }) => device === root)?.disk ?? null;

/** `mounted` is the path where FIX finds the hive, if that is another. */
function captured(
  { path, hive, recovered }: GuestHive,
  places: Parameters<typeof captureKeys>[1],
  mounted = path,
) {
  return { path: mounted, recovered, keys: naming(path, () => captureKeys(hive, places)) };
}

/** The programs on the ESP that PLAN decides about. */
function loaderNames({ boot_store }: WindowsIdentity): string[] {
  const { manager = null, path, state } = boot_store?.fallback ?? {};
  return [manager, path !== undefined && state !== 'missing' ? path : null].filter((name) => name !== null);
}
