import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** XenServer's exports: the files as xapi writes them (doc/architecture of xapi), packed by tar. */

interface XenDisk {
  ref: string;
  content: Buffer;
  device?: string;
}

type Value = string | boolean | { [name: string]: Value };

const render = (value: Value): string => {
  if (typeof value === 'boolean') return `<value><boolean>${value ? 1 : 0}</boolean></value>`;
  if (typeof value === 'string') return value === '' ? '<value/>' : `<value>${value}</value>`;
  const members = Object.entries(value).map(
    ([name, own]) => `<member><name>${name}</name>${render(own)}</member>`,
  );
  return `<value><struct>${members.join('')}</struct></value>`;
};

export function ovaXml(disks: readonly XenDisk[], { firmware = 'bios' } = {}): string {
  const object = (kind: string, id: string, snapshot: { [name: string]: Value }) =>
    render({ class: kind, id, snapshot });
  const vm = (id: string, isSnapshot: boolean) =>
    object('VM', id, {
      name_label: 'web &amp; db',
      is_a_snapshot: isSnapshot,
      memory_dynamic_max: '2147483648',
      VCPUs_max: '4',
      VCPUs_at_startup: '2',
      HVM_boot_params: { order: 'dc', firmware },
    });
  const objects = [
    vm('Ref:9', true),
    vm('Ref:0', false),
    object('VIF', 'Ref:61', { device: '1', VM: 'Ref:0', MAC: 'ea:b5:1c:00:00:02', network: 'Ref:70' }),
    object('VIF', 'Ref:60', { device: '0', VM: 'Ref:0', MAC: 'EA:B5:1C:00:00:01', network: 'Ref:70' }),
    object('network', 'Ref:70', { name_label: 'Pool-wide network' }),
    object('VBD', 'Ref:80', { VM: 'Ref:0', VDI: 'OpaqueRef:NULL', userdevice: '3', type: 'CD', empty: true }),
    ...disks.flatMap(({ ref, content, device = '0' }, index) => [
      object('VBD', `Ref:${90 + index}`, {
        VM: 'Ref:0',
        VDI: ref,
        userdevice: device,
        type: 'Disk',
        empty: false,
      }),
      object('VDI', ref, { name_label: 'disk', virtual_size: String(content.length) }),
    ]),
  ];
  return `<?xml version="1.0"?>\n<value><struct><member><name>version</name>${render({ export_vsn: '2' })}</member><member><name>objects</name><value><array><data>${objects.join('')}</data></array></value></member></struct></value>`;
}

export interface XvaOptions {
  disks: readonly XenDisk[];
  blockSize?: number;
  digest?: { ending: string; of(bytes: Buffer): string };
  /** Adds blocks without content, which take a number and no room, before these blocks. */
  pauses?: readonly number[];
  xml?: string;
  /** Changes the members. */
  edit?(members: Map<string, Buffer>): void;
}

const SHA1 = { ending: '.checksum', of: (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex') };

export function xvaOf({
  disks,
  blockSize = 65_536,
  digest = SHA1,
  pauses = [],
  xml,
  edit,
}: XvaOptions): Buffer {
  const members = new Map<string, Buffer>([['ova.xml', Buffer.from(xml ?? ovaXml(disks))]]);
  for (const { ref, content } of disks) {
    let number = 0;
    const add = (bytes: Buffer) => {
      const name = `${ref}/${String(number).padStart(8, '0')}`;
      members.set(name, bytes);
      members.set(name + digest.ending, Buffer.from(digest.of(bytes)));
      number += 1;
    };
    for (let at = 0; at < content.length; at += blockSize) {
      const block = content.subarray(at, at + blockSize);
      const isEnd = at === 0 || at + blockSize >= content.length;
      if (pauses.includes(at / blockSize)) add(Buffer.alloc(0));
      // A block of zeros is left out and keeps its number.
      if (isEnd || block.some((byte) => byte !== 0)) add(block);
      else number += 1;
    }
  }
  edit?.(members);
  const directory = mkdtempSync(join(tmpdir(), 'h2k-xva-'));
  try {
    for (const [name, bytes] of members) {
      mkdirSync(join(directory, 'in', name, '..'), { recursive: true });
      writeFileSync(join(directory, 'in', name), bytes);
    }
    writeFileSync(join(directory, 'names'), [...members.keys()].join('\n'));
    execFileSync('tar', ['--format=ustar', '-C', 'in', '-cf', 'x.xva', '-T', 'names'], { cwd: directory });
    return readFileSync(join(directory, 'x.xva'));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
