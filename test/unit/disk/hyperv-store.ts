import { crc32 } from 'node:zlib';

/** Writes a .vmcx after OpenVMM's description of the format, independently of the parser. */

export interface StoreNode {
  [name: string]: string | number | boolean | StoreNode;
}

const PAGE = 4096;

export function vmcx(root: StoreNode, { version = 0x0400, logEntries = 0 } = {}): Buffer {
  const tables: Buffer[] = [];
  let entries: Buffer[] = [];
  let used = 10;
  const flush = () => {
    const table = Buffer.alloc(PAGE);
    table.writeUInt16LE(2, 0);
    table.writeUInt16LE(tables.length + 1, 2);
    table.writeUInt16LE(1, 4);
    table.writeUInt32LE(crc32(table.subarray(0, 10)), 6);
    let at = 10;
    for (const entry of entries) {
      entry.copy(table, at);
      at += entry.length;
    }
    // The rest is one free entry.
    table.writeUInt16LE(1, at);
    table.writeUInt32LE(PAGE - at, at + 2);
    tables.push(table);
    entries = [];
    used = 10;
  };
  const put = (
    parent: { table: number; at: number },
    sequence: number,
    name: string,
    type: number,
    data: Buffer,
  ) => {
    const label = Buffer.from(`${name}\0`);
    const entry = Buffer.alloc(21 + label.length + data.length);
    entry.writeUInt16LE(type, 0);
    entry.writeUInt32LE(entry.length, 2);
    entry.writeUInt16LE(parent.table, 6);
    entry.writeUInt32LE(parent.at, 8);
    entry.writeUInt32LE(sequence, 16);
    entry.writeUInt8(label.length, 20);
    label.copy(entry, 21);
    data.copy(entry, 21 + label.length);
    entry.writeUInt32LE(crc32(entry), 12);
    if (used + entry.length > PAGE - 22) flush();
    const place = { table: tables.length + 1, at: used };
    entries.push(entry);
    used += entry.length;
    return place;
  };
  const add = (node: StoreNode, parent: { table: number; at: number }) => {
    let sequence = 0;
    for (const [name, value] of Object.entries(node)) {
      sequence += 1;
      if (typeof value === 'object') add(value, put(parent, sequence, name, 9, Buffer.alloc(12)));
      else put(parent, sequence, name, typeOf(value), dataOf(value));
    }
  };
  add(root, { table: 0, at: 0 });
  flush();
  const log = Buffer.alloc(PAGE);
  log.writeUInt32LE(0x0111_0003, 0);
  log.writeUInt32LE(logEntries, 8);
  const objects = Buffer.alloc(PAGE);
  objects.writeUInt32LE(0x0111_0001, 0);
  objects.writeUInt32LE(200, 4);
  for (const index of tables.keys()) {
    const at = 8 + index * 18;
    objects.writeUInt8(2, at);
    objects.writeBigUInt64LE(BigInt((4 + index) * PAGE), at + 5);
    objects.writeUInt32LE(PAGE, at + 13);
    objects.writeUInt8(1, at + 17);
    objects.writeUInt32LE(crc32(objects.subarray(at, at + 18)), at + 1);
  }
  const headers = [1, 2].map((sequence) => {
    const header = Buffer.alloc(PAGE);
    header.writeUInt32LE(0x0128_2014, 0);
    header.writeUInt16LE(sequence, 8);
    header.writeUInt32LE(version, 10);
    header.writeUInt32LE(PAGE, 22);
    header.writeBigUInt64LE(BigInt(3 * PAGE), 26);
    header.writeBigUInt64LE(BigInt(PAGE), 34);
    header.writeUInt32LE(PAGE, 42);
    header.writeUInt32LE(crc32(header.subarray(0, 46)), 4);
    return header;
  });
  return Buffer.concat([...headers, objects, log, ...tables]);
}

function typeOf(value: string | number | boolean): number {
  if (typeof value === 'string') return 6;
  return typeof value === 'number' ? 3 : 8;
}

function dataOf(value: string | number | boolean): Buffer {
  if (typeof value === 'string') {
    const text = Buffer.from(value, 'utf16le');
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    return Buffer.concat([length, text]);
  }
  const bytes = Buffer.alloc(typeof value === 'number' ? 8 : 4);
  if (typeof value === 'number') bytes.writeBigInt64LE(BigInt(value));
  else bytes.writeUInt32LE(value ? 1 : 0);
  return bytes;
}

/** The same as the XML that Hyper-V wrote before 2016: UTF-16 with a byte order mark. */
export function hyperVXml(root: StoreNode): Buffer {
  const render = (node: StoreNode): string =>
    Object.entries(node)
      .map(([name, value]) => {
        if (typeof value === 'object') return `<${name}>${render(value)}</${name}>`;
        const type = { string: 'string', number: 'integer', boolean: 'bool' }[typeof value as 'string'];
        return `<${name} type="${type}">${typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value).replace(/&/g, '&amp;')}</${name}>`;
      })
      .join('\r\n');
  return Buffer.from(
    `\ufeff<?xml version="1.0" encoding="UTF-16" standalone="yes"?>\r\n${render(root)}`,
    'utf16le',
  );
}

const IDE = '83f8638b-8dca-4152-9eda-2ca8b33039b4';
const SCSI = 'd422512d-2bf2-4752-809d-7b82b5fcb1b4';
const NIC = '2fc216b0-d2e2-4967-9b6d-b8a5c9ca2778';

export interface HyperVVm {
  name?: string;
  generation?: 1 | 2;
  typeId?: string;
  /** By controller: `ide0`, `scsi0`. */
  disks: Record<string, StoreNode[]>;
  macs?: string[];
}

export const vhdAt = (pathname: string): StoreNode => ({ type: 'VHD', pathname, iops_limit: 0 });

/** A configuration as Hyper-V writes it, as far as it matters. */
export function hyperVConfiguration({
  name = 'web & db',
  generation = 1,
  typeId = 'Virtual Machines',
  disks,
  macs = ['00-15-5D-01-07-DC'],
}: HyperVVm): StoreNode {
  const manifest: StoreNode = { version: 512, size: 0 };
  const devices: StoreNode = {};
  let count = 0;
  const device = (kind: string, instance: string, settings: StoreNode) => {
    count += 1;
    manifest[`vdev${String(count).padStart(3, '0')}`] = {
      device: kind,
      instance: instance.toUpperCase(),
      flags: 1,
    };
    devices[`_${instance}_`] = { VDEVVersion: 256, ...settings };
  };
  const drives = (list: readonly StoreNode[]) =>
    Object.fromEntries(list.map((drive, index) => [`drive${index}`, drive]));
  const ide = Object.entries(disks).filter(([bus]) => bus.startsWith('ide'));
  if (generation === 1)
    device(
      IDE,
      IDE,
      Object.fromEntries(ide.map(([bus, list]) => [`controller${bus.slice(3)}`, drives(list)])),
    );
  for (const [index, mac] of macs.entries())
    device(NIC, `1bc9500e-ad4b-426e-ad70-d04cbeb2033${index}`, {
      FriendlyName: 'Network Adapter',
      MacAddress: mac,
      Connection: { AltSwitchName: 'External' },
    });
  for (const [bus, list] of Object.entries(disks))
    if (bus.startsWith('scsi'))
      device(SCSI, `73e0f0c5-c0bc-4e16-a458-0e1c388bfee${bus.slice(4)}`, { controller0: drives(list) });
  return {
    configuration: {
      ...devices,
      manifest,
      properties: { name, subtype: generation - 1, type_id: typeId, version: 2304 },
      settings: { memory: { bank: { size: 2048, limit: 1048576 } }, processors: { count: 3, limit: 100000 } },
    },
  };
}
