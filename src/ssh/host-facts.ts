import { unescapeTag } from '../guest/blkid-tag.js';
import type { RemoteShell } from './shell.js';
import { refusedBy } from './shell.js';

/** A block device of the running kernel, from sysfs. */
export interface HostDevice {
  /** `/dev/sda1`, `/dev/vg/root`. */
  device: string;
  kind: 'disk' | 'partition' | 'md' | 'mapper';
  /** `8:1`, as in /proc/self/mountinfo. */
  number: string;
  /** Bytes. */
  size: number;
  /** Of a partition: its disk, its number and its first byte. */
  partition: { of: string; number: number; start: number } | null;
  /** device-mapper's identifier: `LVM-<group><volume>`, `CRYPT-LUKS2-…`. */
  mapperUuid: string | null;
  /** Numbers of the devices that it is made of. */
  parts: readonly string[];
  /** udev's links to it, and the kernel's own name. */
  links: readonly string[];
  /** What blkid(8) finds on it. */
  tags: Readonly<Record<string, string>>;
}

/** A line of /proc/self/mountinfo, or the filesystem that `/` is on. */
export interface HostMount {
  mountpoint: string;
  /** The directory of the filesystem that is mounted. */
  root: string;
  number: string;
  source: string;
  /** Of the superblock: `rw,subvolid=256,subvol=/@`. */
  options: readonly string[];
}

export interface HostFacts {
  devices: readonly HostDevice[];
  mounts: readonly HostMount[];
  firmware: 'bios' | 'uefi';
}

/** Thousands of devices. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Asks the host, in one script. */
export async function hostFacts(shell: Pick<RemoteShell, 'run'>): Promise<HostFacts> {
  const result = await shell.run(SCRIPT, { maxBytes: MAX_BYTES });
  if (result.code !== 0) throw refusedBy(result);
  return parseFacts(result.stdout.toString('utf8'));
}

/**
 * Prints a line for each fact; blkid's lines follow the line of their device. Names in sysfs have `!` for `/`,
 * and no blanks. `blkid -p` reads the device itself, and no cache is written.
 */
const SCRIPT = `
value() { if [ -e "$1" ]; then cat -- "$1"; fi; }
tags() { blkid -p -o export -- "$1" 2>/dev/null; echo; }
for d in /sys/block/*; do
  [ -e "$d/dev" ] || continue
  n=\${d##*/}
  hardware=no
  if [ -e "$d/device" ]; then hardware=yes; fi
  echo "block $n $(value "$d/dev") $(value "$d/size") $hardware"
  if [ -e "$d/dm/name" ]; then echo "mapper $(value "$d/dm/name") $(value "$d/dm/uuid")"; fi
  for s in "$d"/slaves/*; do
    if [ -e "$s/dev" ]; then echo "part-of $(value "$s/dev")"; fi
  done
  for p in "$d/$n"*; do
    [ -e "$p/partition" ] || continue
    echo "partition \${p##*/} $(value "$p/dev") $(value "$p/size") $(value "$p/partition") $(value "$p/start")"
  done
done
for l in /dev/disk/by-path/* /dev/disk/by-id/* /dev/disk/azure/* /dev/disk/cloud/*; do
  if [ -L "$l" ]; then echo "link $l $(readlink -f -- "$l")"; fi
done
echo "root $(stat -c %d /)"
if [ -d /sys/firmware/efi ]; then echo efi; fi
sed 's/^/mount /' /proc/self/mountinfo
for d in /sys/block/*; do
  [ -e "$d/dev" ] || continue
  n=\${d##*/}
  case $n in loop*|ram*|zram*|sr*|fd*|nbd*) continue ;; esac
  for p in "$d" "$d/$n"*; do
    [ -e "$p/dev" ] || continue
    dev=/dev/$(echo "\${p##*/}" | tr '!' '/')
    if [ -b "$dev" ]; then echo "tags $(value "$p/dev")"; tags "$dev"; fi
  done
done
`;

/** These have no disk of a VM behind them. */
const NO_DISK = /^(loop|ram|zram|sr|fd|nbd)/;
const SECTOR_BYTES = 512;

/** Parses what the script prints. Pure. */
export function parseFacts(text: string): HostFacts {
  const devices: (HostDevice & { name: string })[] = [];
  const links = new Map<string, string[]>();
  const tags = new Map<string, Record<string, string>>();
  const mounts: HostMount[] = [];
  let root: HostMount | null = null;
  let firmware: HostFacts['firmware'] = 'bios';
  let disk = '';
  let last: (HostDevice & { name: string; mapperUuid: string | null; parts: string[] }) | null = null;
  let own: Record<string, string> | null = null;
  const add = (name: string, facts: Pick<HostDevice, 'kind' | 'number' | 'size' | 'partition'>) => {
    const device = `/dev/${name.replaceAll('!', '/')}`;
    last = { name: device, device, ...facts, mapperUuid: null, parts: [], links: [], tags: {} };
    devices.push(last);
  };
  for (const line of text.split('\n')) {
    if (own !== null) {
      const equals = line.indexOf('=');
      if (equals > 0) own[line.slice(0, equals)] = unescapeTag(line.slice(equals + 1));
      if (line === '') own = null;
      continue;
    }
    const [word = '', ...rest] = line.split(' ');
    const [a = '', b = '', c = '', d = '', e = ''] = rest;
    if (word === 'block') {
      disk = `/dev/${a.replaceAll('!', '/')}`;
      const kind = a.startsWith('dm-') ? 'mapper' : a.startsWith('md') ? 'md' : d === 'yes' ? 'disk' : null;
      last = null;
      if (kind === null || NO_DISK.test(a)) disk = '';
      else add(a, { kind, number: b, size: Number(c) * SECTOR_BYTES, partition: null });
    } else if (word === 'mapper' && last !== null) renameMapper(last, a, rest.slice(1).join(' '));
    else if (word === 'part-of') (last as { parts: string[] } | null)?.parts.push(a);
    else if (word === 'partition' && disk !== '')
      add(a, {
        kind: 'partition',
        number: b,
        size: Number(c) * SECTOR_BYTES,
        partition: { of: disk, number: Number(d), start: Number(e) * SECTOR_BYTES },
      });
    else if (word === 'link') {
      const known = links.get(b);
      if (known === undefined) links.set(b, [b, a]);
      else known.push(a);
    } else if (word === 'root') root = { ...ROOT, number: deviceNumber(Number(a)) };
    else if (word === 'efi') firmware = 'uefi';
    else if (word === 'mount') mounts.push(...parseMount(rest));
    else if (word === 'tags') {
      own = {};
      tags.set(a, own);
    }
  }
  if (root !== null && !mounts.some(({ mountpoint }) => mountpoint === '/')) mounts.push(root);
  return {
    devices: devices.map(({ name, ...device }) => ({
      ...device,
      links: links.get(name) ?? [name],
      tags: tags.get(device.number) ?? {},
    })),
    mounts,
    firmware,
  };
}

const ROOT = { mountpoint: '/', root: '/', source: '', options: [] };

/** Decodes st_dev as the C library encodes it (gnu_dev_major(3)). */
const deviceNumber = (dev: number): string =>
  `${(Math.floor(dev / 256) & 0xfff) >>> 0}:${(dev & 0xff) + ((Math.floor(dev / 4096) & 0xfffff00) >>> 0)}`;

function renameMapper(last: { device: string; mapperUuid: string | null }, name: string, uuid: string): void {
  last.mapperUuid = uuid === '' ? null : uuid;
  last.device = uuid.startsWith('LVM-') ? logicalVolume(name) : `/dev/mapper/${name}`;
}

/** `vg-root` → `/dev/vg/root`; a dash of a name itself is doubled. */
function logicalVolume(name: string): string {
  const [, group, volume] = /^((?:[^-]|--)+)-((?:[^-]|--)+)$/.exec(name) ?? [];
  return group === undefined || volume === undefined
    ? `/dev/mapper/${name}`
    : `/dev/${group.replaceAll('--', '-')}/${volume.replaceAll('--', '-')}`;
}

/** proc_pid_mountinfo(5): fields, then optional ones, then a dash. */
function parseMount(fields: readonly string[]): HostMount[] {
  const dash = fields.indexOf('-', 6);
  const [, , number, root, mountpoint] = fields;
  const [, source, options] = dash === -1 ? [] : fields.slice(dash + 1);
  if (number === undefined || root === undefined || mountpoint === undefined || source === undefined)
    return [];
  return [
    {
      mountpoint: unescapeOctal(mountpoint),
      root: unescapeOctal(root),
      number,
      source: unescapeOctal(source),
      options: options?.split(',') ?? [],
    },
  ];
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
