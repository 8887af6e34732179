import type { Filesystem } from '../model/identity.js';
import { devicePlace } from './disk-place.js';

/**
 * What a device name is resolved against: INSPECT's filesystems, and the old controllers of the disks by
 * index (`scsi0:1`, null if unknown).
 */
export interface DeviceContext {
  filesystems: readonly Filesystem[];
  controllers: readonly (string | null)[];
  /** Volumes that the guest knows by other names than `filesystems` has. */
  aliases?: Readonly<Record<string, string>>;
}

/**
 * Returns the filesystem that a device specification of fstab, crypttab or a kernel command line means, or
 * null. Stable names are looked up, and so is every name that a running guest has. Others are resolved by the disk's position: `/dev/sdXN` and the
 * like by letter, `by-path` by controller, target and partition number. Also null if copies share the name.
 */
export function resolveDevice(spec: string, context: DeviceContext): Filesystem | null {
  if (stableName(spec) !== null) {
    const [found, ...others] = filesystemsNamed(spec, context);
    return found === undefined || others.length > 0 ? null : found;
  }
  const linked = context.filesystems.find(({ links }) => links?.includes(spec));
  if (linked !== undefined) return linked;
  const member = MEMBER_NAME.exec(spec);
  if (member !== null) return memberNamed(member[1] ?? '', member[2] ?? '', context);
  const named = volumeName(spec);
  if (named !== null) {
    return volumeNamed(context.aliases?.[named] ?? named, context.filesystems);
  }
  const place = devicePlace(spec, context);
  if (place === null) return null;
  return (
    context.filesystems.find(
      (filesystem) => filesystem.disk === place.disk && filesystem.partition === place.partition,
    ) ?? null
  );
}

/**
 * Returns all filesystems with a UUID, label or PARTUUID: several if a disk was copied. A filesystem on
 * several devices counts once, and a snapshot does not count beside its origin, because udev gives the name
 * to the origin. Empty for other specifications.
 */
export function filesystemsNamed(
  spec: string,
  { filesystems }: Pick<DeviceContext, 'filesystems'>,
): Filesystem[] {
  const stable = stableName(spec);
  if (stable === null) return [];
  const isText = stable.key === 'label' || stable.key === 'partlabel';
  const wanted = isText ? stable.value : stable.value.toLowerCase();
  const all = filesystems.filter((filesystem) => {
    const value = filesystem[stable.key];
    return (isText ? value : value?.toLowerCase()) === wanted;
  });
  const originals = all.filter(({ snapshot_of }) => snapshot_of === undefined);
  const found = originals.length > 0 ? originals : all;
  return areMembersOfOne(found) ? found.slice(0, 1) : found;
}

/** These have one UUID on all their devices by design. */
const SEVERAL_DEVICES = new Set(['btrfs', 'linux_raid_member', 'zfs_member', 'bcachefs']);

/** True for devices of one filesystem or array. A copy of a device has its member's identity too. */
export function areMembersOfOne(filesystems: readonly Filesystem[]): boolean {
  const members = filesystems.flatMap(({ member }) => member ?? []);
  return (
    filesystems.every(({ type }) => SEVERAL_DEVICES.has(type)) && new Set(members).size === members.length
  );
}

/**
 * True for names that do not survive a move between hypervisors, including `/dev/vdX`, which changes with the
 * bus.
 */
export function isUnstableName(spec: string): boolean {
  return (
    /^\/dev\/(sd[a-z]+|hd[a-z]+|vd[a-z]+|xvd[a-z]+)\d*$/.test(spec) ||
    /^\/dev\/nvme\d+n\d+(p\d+)?$/.test(spec) ||
    // The last two are of Azure's agent and of cloud-init.
    (/^\/dev\/disk\/(by-path|by-id|azure|cloud)\//.test(spec) && !MEMBER_LINK.test(spec))
  );
}

/**
 * udev's by-id links that are made of device-mapper's, md's and LVM's own identifiers, which are stored with
 * the data.
 */
const MEMBER_LINK = /^\/dev\/disk\/by-id\/(dm-(name|uuid)|md-(name|uuid)|lvm-pv-uuid)-/;

const MEMBER_NAME = /^\/dev\/disk\/by-id\/(dm-name|dm-uuid|lvm-pv-uuid|md-name|md-uuid)-(.+)$/;

/**
 * What a link of `MEMBER_LINK` means. A container is known by its UUID: `CRYPT-LUKS2-<UUID without
 * dashes>-<name>`. Null where copies share the identifier.
 */
function memberNamed(kind: string, name: string, context: DeviceContext): Filesystem | null {
  const { filesystems, aliases } = context;
  const text = unescapeUdev(name);
  if (kind === 'dm-name') return resolveDevice(`/dev/mapper/${text}`, context);
  const alias = aliases?.[`/dev/disk/by-id/${kind}-${text}`];
  const luks = kind === 'dm-uuid' ? /^CRYPT-LUKS\d-([0-9a-f]{32})-/.exec(text)?.[1] : undefined;
  const found = filesystems.filter(({ device, type, uuid, dm_uuid }) => {
    if (alias !== undefined) return device === alias;
    if (luks !== undefined) return device.replaceAll('-', '') === `/dev/mapper/luks${luks}`;
    if (kind === 'lvm-pv-uuid') return type === 'LVM2_member' && uuid === text;
    return kind === 'dm-uuid' && dm_uuid === text;
  });
  return found.length === 1 ? (found[0] ?? null) : null;
}

type StableKey = 'uuid' | 'label' | 'partuuid' | 'partlabel';

/**
 * Returns which field `UUID=…`, `LABEL="…"` or `/dev/disk/by-uuid/…` names, and its value; null for other
 * names.
 */
function stableName(spec: string): { key: StableKey; value: string } | null {
  const tag = spec.match(/^(UUID|LABEL|PARTUUID|PARTLABEL)=(["']?)(.+)\2$/);
  if (tag !== null) return { key: tag[1]!.toLowerCase() as StableKey, value: tag[3]! };
  const link = spec.match(/^\/dev\/disk\/by-(uuid|label|partuuid|partlabel)\/(.+)$/);
  if (link !== null) return { key: link[1] as StableKey, value: unescapeUdev(link[2]!) };
  return null;
}

/** Returns the name of a volume: `/dev/vg/lv`, `/dev/mapper/vg-lv` and md arrays keep theirs. */
function volumeName(spec: string): string | null {
  return /^\/dev\/(mapper\/[^/]+|md\/?[^/]+|[A-Za-z0-9+_.-]+\/[A-Za-z0-9+_.-]+)$/.test(spec) &&
    !spec.startsWith('/dev/disk/')
    ? spec
    : null;
}

/**
 * By list the filesystems by mapper name, with the length that the list had (INSPECT adds what a container has): a
 * guest may have hundreds of volumes, and thousands of lines in fstab.
 */
const volumes = new WeakMap<
  readonly Filesystem[],
  { length: number; byName: ReadonlyMap<string, Filesystem> }
>();

function volumeNamed(volume: string, filesystems: readonly Filesystem[]): Filesystem | null {
  let known = volumes.get(filesystems);
  if (known?.length !== filesystems.length) {
    // Reversed, so that the first of two with one name stays.
    const named = filesystems
      .toReversed()
      .map((filesystem) => [mapperName(filesystem.device), filesystem] as const);
    known = { length: filesystems.length, byName: new Map(named) };
    volumes.set(filesystems, known);
  }
  return known.byName.get(mapperName(volume)) ?? null;
}

/** Returns LVM's mapper name, in which each dash of the two parts is doubled. */
function mapperName(device: string): string {
  const lv = device.match(/^\/dev\/([^/]+)\/([^/]+)$/);
  if (lv === null || lv[1] === 'mapper' || lv[1] === 'md') return device;
  const double = (text: string) => text.replaceAll('-', '--');
  return `/dev/mapper/${double(lv[1]!)}-${double(lv[2]!)}`;
}

/** Decodes udev's `\xNN`, which stands for unsafe bytes in link names. */
function unescapeUdev(text: string): string {
  const bytes = text.replace(/\\x([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return bytes === text ? text : Buffer.from(bytes, 'latin1').toString('utf8');
}
