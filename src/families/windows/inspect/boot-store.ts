import type { GuestReader } from '../../../access/guest-reader.js';
import type { Storage } from '../../../access/storage.js';
import type { Warnings } from '../../../access/tolerate.js';
import type { ErrorCode } from '../../../errors/catalogue.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { type BootStore, readBootStore } from '../../../guest/bcd.js';
import { ESP_TYPES } from '../../../guest/esp.js';
import type { Filesystem } from '../../../model/identity.js';
import type { BootStoreFacts } from '../../../model/windows-identity.js';
import { codePolicies, ESP_POLICIES } from './code-policies.js';
import { type EfiLoaders, findEfiLoaders } from './efi-loaders.js';
import { type GuestHive, MAX_HIVE_BYTES, naming, readHive } from './hives.js';
import { WindowsPaths } from './paths.js';

export interface FoundStore {
  /** The firmware that reads a store in that place. */
  firmware: 'bios' | 'uefi';
  file: GuestHive;
  store: BootStore;
  device: string;
  /** Null but for UEFI. */
  loaders: EfiLoaders | null;
  /** Code integrity policies, as files below the root of an ESP. */
  policies: string[];
}

const PLACES = {
  uefi: '/EFI/Microsoft/Boot/BCD',
  bios: '/Boot/BCD',
} as const;
const MAX_CANDIDATES = 16;

/** What is wrong with one store: the VM may start with another. */
const UNREADABLE: ReadonlySet<string> = new Set([
  'guest.call-failed',
  'guest.bcd-incomplete',
  'guest.hive-corrupt',
  'guest.hive-dirty',
  'guest.hive-unsupported',
  'inspect.hive-unreadable',
] satisfies ErrorCode[]);

/**
 * Returns the boot configuration stores of the VM: on ESPs, whatever their disk, then on active partitions
 * and on the root. One that cannot be read is passed over with a warning. Nothing may be mounted.
 */
export async function findBootStores(
  reader: GuestReader,
  storage: Storage,
  root: string,
  warnings: Warnings,
): Promise<FoundStore[]> {
  const { filesystems } = storage;
  const esps = filesystems.filter(({ type, parttype }) => type === 'vfat' && ESP_TYPES.has(parttype ?? ''));
  const active = filesystems.filter(
    (filesystem) => isActive(filesystem, storage) && /^(?:ntfs|vfat)$/.test(filesystem.type),
  );
  const roots = filesystems.filter(({ device }) => device === root);
  const candidates = [
    ...esps.map(({ device }) => ({ device, firmware: 'uefi' as const })),
    ...[...new Set([...active, ...roots])].map(({ device }) => ({ device, firmware: 'bios' as const })),
  ];
  const stores: FoundStore[] = [];
  for (const candidate of candidates.slice(0, MAX_CANDIDATES)) {
    try {
      const found = await readStore(reader, candidate);
      if (found !== null) stores.push(found);
    } catch (error) {
      if (!(error instanceof Hyper2kvmError) || !UNREADABLE.has(error.code)) throw error;
      const message = `the boot configuration on ${candidate.device} was not read: ${error.message}`;
      warnings.push({ fixer: 'inspect', code: 'inspect.skipped', message });
    }
  }
  return stores;
}

async function readStore(
  reader: GuestReader,
  { device, firmware }: Pick<FoundStore, 'device' | 'firmware'>,
): Promise<FoundStore | null> {
  try {
    await reader.mount({ device, mountpoint: '/', options: '' }, 'ro');
    const paths = new WindowsPaths(reader);
    const path = await paths.find(PLACES[firmware]);
    if (path === null) return null;
    const file = await readHive(reader, paths, path, MAX_HIVE_BYTES.bootStore);
    const store = naming(path, () => readBootStore(file.hive));
    const loaders = firmware === 'uefi' ? await findEfiLoaders(reader, paths) : null;
    const policies = firmware === 'uefi' ? await codePolicies(paths, ESP_POLICIES) : [];
    return { device, firmware, file, store, loaders, policies };
  } finally {
    await reader.unmountAll();
  }
}

function isActive({ disk, partition }: Filesystem, { partitions }: Storage): boolean {
  const table = partitions.find((candidate) => candidate.disk === disk);
  return table?.partitions.some(({ number, bootable }) => number === partition && bootable) ?? false;
}

/** Returns the store that a VM of this firmware starts with; if that is unknown, the first that starts `root`. */
export function chooseStore(
  stores: readonly FoundStore[],
  firmware: 'bios' | 'uefi' | null,
  root: string,
  storage: Storage,
): FoundStore | null {
  const possible = stores.filter((found) => firmware === null || found.firmware === firmware);
  return possible.find(({ store }) => matchesRoot(store, root, storage) !== false) ?? possible[0] ?? null;
}

/**
 * Returns what the report and the planner need of a store. `mountpoint` is where FIX mounts its filesystem;
 * null if it does not. Pure.
 */
export function storeFacts(
  { store, device, file, loaders, policies }: FoundStore,
  root: string,
  storage: Storage,
  mountpoint: string | null,
): BootStoreFacts {
  const entry = store.default;
  const mounted = (path: string) => mountedPath(mountpoint ?? '', path);
  const fallback =
    loaders === null || mountpoint === null
      ? null
      : {
          manager: loaders.manager === null ? null : mounted(loaders.manager),
          path: mounted(loaders.fallback),
          state: loaders.state,
        };
  return {
    device,
    disk: storage.filesystems.find((filesystem) => filesystem.device === device)?.disk ?? null,
    path: mountpoint === null ? null : mounted(file.path),
    entry: entry?.id ?? null,
    loader: entry?.path ?? null,
    matches_root: matchesRoot(store, root, storage),
    test_signing: entry?.testSigning === true || entry?.noIntegrityChecks === true,
    policies,
    safe_boot: (entry?.safeBoot ?? null) !== null,
    graphics_disabled: entry?.graphicsDisabled === true,
    fallback,
  };
}

/** Returns the path of a file of the filesystem that is mounted at `mountpoint`. */
export function mountedPath(mountpoint: string, path: string): string {
  return mountpoint === '/' ? path : `${mountpoint}${path}`;
}

/**
 * Directories of Windows that FIX can mount another filesystem at, as nothing of them is needed meanwhile:
 * none can be made for it. The first is where Windows keeps its own copies of the boot files.
 */
const MOUNTPOINTS = ['Boot', 'Temp'];

/** Returns where FIX can mount the filesystem with the boot store; null if Windows has no such directory. */
export async function bootMountpoint(
  reader: Pick<GuestReader, 'lstat'>,
  paths: WindowsPaths,
  systemRoot: string,
): Promise<string | null> {
  for (const name of MOUNTPOINTS) {
    const path = await paths.find(`${systemRoot}/${name}`);
    if (path !== null && (await reader.lstat(path))?.type === 'directory') return path;
  }
  return null;
}

type Places = Pick<Storage, 'filesystems' | 'partitions'>;
type Device = NonNullable<BootStore['default']>['device'];

/** Returns whether the default entry is on `root`; null if it does not name a partition. Pure. */
export function matchesRoot(store: BootStore, root: string, storage: Places): boolean | null {
  const filesystem = storage.filesystems.find(({ device }) => device === root);
  if (store.default === null || filesystem === undefined) return null;
  const { device, osDevice } = store.default;
  const answers = [device, osDevice].map((place) => isOn(place, filesystem, storage));
  if (answers.includes(false)) return false;
  return answers.includes(null) ? null : true;
}

function isOn(place: Device, { disk, partition, partuuid }: Filesystem, storage: Places): boolean | null {
  if (place?.kind === 'boot') return true;
  if (place?.kind !== 'partition' || partuuid === null) return null;
  const table = storage.partitions.find((candidate) => candidate.disk === disk);
  if (place.scheme === 'gpt')
    return place.partition === partuuid.toLowerCase() && place.disk === (table?.guid ?? place.disk);
  const start = table?.partitions.find(({ number }) => number === partition)?.start;
  // blkid's name of a partition in an MBR is the disk's signature and the partition's number.
  const signature = Number.parseInt(partuuid.split('-')[0] ?? '', 16);
  return place.offset === start && place.signature === signature;
}
