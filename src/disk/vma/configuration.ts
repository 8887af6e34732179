import type { DescribedDisk, Description } from '../../model/description.js';
import type { Nic } from '../../model/hardware.js';
import { compareNames } from '../base/names.js';

/** The name of the configuration in a VMA. */
export const PROXMOX_CONFIGURATION = 'qemu-server.conf';

const MAX_LINES = 10_000;
/** The order without `boot`, which is Proxmox' own. */
const BUSES = ['ide', 'scsi', 'virtio', 'sata'];

/**
 * Parses Proxmox' configuration of a VM (qm.conf(5)): `key: value` lines, then a section for each snapshot, which
 * are older states. A disk's file is what the backup calls it: `drive-scsi0.raw`. `backedUp` are those that there are.
 */
export function parseProxmox(bytes: Buffer, backedUp: ReadonlySet<string>): Description {
  const values = readValues(bytes.toString('utf8'));
  const cores = positive(values.get('cores')) ?? 1;
  const sockets = positive(values.get('sockets')) ?? 1;
  const drives = drivesOf(values);
  const left = drives.filter(({ file }) => !backedUp.has(file));
  return {
    hardware: {
      name: values.get('name') ?? null,
      memory_mib: positive(/^(?:current=)?(\d+)/.exec(values.get('memory') ?? '')?.[1]),
      vcpus: positive(values.get('vcpus')) ?? cores * sockets,
      firmware: values.get('bios') === 'ovmf' ? 'uefi' : 'bios',
      nics: nicsOf(values),
      os_hint: values.get('ostype') ?? null,
    },
    disks: drives
      .filter(({ file }) => backedUp.has(file))
      .map(({ place, file }): DescribedDisk => ({ controller: place, file, capacity: null, format: 'raw' })),
    files: drives.map(({ file }) => file),
    warnings: left.map(({ key }) => `the backup was made without the disk ${key}: it is left out`),
  };
}

function readValues(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split(/\r?\n/, MAX_LINES)) {
    if (line.startsWith('[')) break;
    const match = /^([a-z][a-z0-9_-]*):[ \t]*(.*)$/.exec(line);
    if (match !== null) values.set(match[1]!, match[2]!.trimEnd());
  }
  return values;
}

interface Drive {
  key: string;
  /** Bus and unit: `scsi0:1`. */
  place: string;
  file: string;
}

/** Disks in the order in which the VM tries to start from them, then by their numbers. */
function drivesOf(values: ReadonlyMap<string, string>): Drive[] {
  const drives: Drive[] = [];
  for (const [key, value] of values) {
    const [, bus, number] = /^(ide|scsi|virtio|sata)(\d{1,2})$/.exec(key) ?? [];
    if (bus === undefined || number === undefined) continue;
    if (/(?:^|,)media=cdrom(?:,|$)/.test(value) || /^(?:file=)?none(?:,|$)/.test(value)) continue;
    // An IDE controller has two units.
    const place = bus === 'ide' ? `ide${Number(number) >> 1}:${Number(number) & 1}` : `${bus}0:${number}`;
    drives.push({ key, place, file: `drive-${key}.raw` });
  }
  const boot = bootOrder(values);
  const rank = ({ key }: Drive) => (boot.includes(key) ? boot.indexOf(key) : boot.length);
  const bus = ({ key }: Drive) => BUSES.indexOf(key.replace(/\d+$/, ''));
  return drives.sort((a, b) => rank(a) - rank(b) || bus(a) - bus(b) || compareNames(a.key, b.key));
}

/** `boot: order=scsi0;net0`, and before Proxmox 6.3 `bootdisk: scsi0`. */
function bootOrder(values: ReadonlyMap<string, string>): string[] {
  const order = /(?:^|,)order=([^,]*)/.exec(values.get('boot') ?? '')?.[1];
  if (order !== undefined) return order.split(';');
  const disk = values.get('bootdisk');
  return disk === undefined ? [] : [disk];
}

/** `net0: virtio=9E:19:C3:D0:E2:F7,bridge=vmbr0,firewall=1` */
function nicsOf(values: ReadonlyMap<string, string>): Nic[] {
  return [...values]
    .filter(([key]) => /^net\d{1,2}$/.test(key))
    .sort(([a], [b]) => compareNames(a, b))
    .map(([, value]): Nic => {
      const parts = value.split(',').map((part): [string, string] => {
        const [key = '', text = ''] = part.split('=', 2);
        return [key, text];
      });
      const named = new Map(parts);
      // The first part is the model with its MAC, or `model=virtio` with `macaddr=…` elsewhere.
      const [model, address] = named.has('model')
        ? [named.get('model'), named.get('macaddr')]
        : [parts[0]?.[0], named.get('macaddr') ?? parts[0]?.[1]];
      const mac = (address ?? '').toLowerCase();
      return {
        mac: /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) ? mac : null,
        network: named.get('bridge') ?? null,
        model: model ?? null,
      };
    });
}

function positive(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,8}$/.test(text)) return null;
  return Number(text) > 0 ? Number(text) : null;
}
