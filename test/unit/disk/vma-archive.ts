import { createHash } from 'node:crypto';

/** Writes Proxmox' VMA after vma_spec.txt, independently of the reader. */

const BLOCK = 4096;
const CLUSTER = 65_536;
const ZEROS = Buffer.alloc(BLOCK);
const UUID = Buffer.alloc(16, 0xc5);

interface VmaDisk {
  name: string;
  content: Buffer;
}

export interface VmaOptions {
  disks: readonly VmaDisk[];
  configuration?: string;
  /** Changes the order of the clusters, or leaves some out. */
  arrange?: (clusters: { id: number; number: number }[]) => { id: number; number: number }[];
}

export function vmaOf({ disks, configuration, arrange = (all) => all }: VmaOptions): Buffer {
  const blobs: Buffer[] = [Buffer.alloc(1)];
  let length = 1;
  const blob = (content: Buffer): number => {
    const at = length;
    const size = Buffer.alloc(2);
    size.writeUInt16LE(content.length);
    blobs.push(size, content);
    length += 2 + content.length;
    return at;
  };
  const head = Buffer.alloc(12_288);
  head.write('VMA\0', 0, 'latin1');
  head.writeUInt32BE(1, 4);
  UUID.copy(head, 8);
  if (configuration !== undefined) {
    head.writeUInt32BE(blob(Buffer.from('qemu-server.conf\0')), 2044);
    head.writeUInt32BE(blob(Buffer.from(configuration)), 3068);
  }
  for (const [index, { name, content }] of disks.entries()) {
    const at = 4096 + (index + 1) * 32;
    head.writeUInt32BE(blob(Buffer.from(`${name}\0`)), at);
    head.writeBigUInt64BE(BigInt(content.length), at + 8);
  }
  const texts = Buffer.concat(blobs);
  const size = Math.ceil((head.length + texts.length) / 512) * 512;
  head.writeUInt32BE(head.length, 48);
  head.writeUInt32BE(texts.length, 52);
  head.writeUInt32BE(size, 56);
  const header = Buffer.concat([head, texts, Buffer.alloc(size - head.length - texts.length)]);
  md5(header, 32);
  const clusters = arrange(
    disks.flatMap(({ content }, index) =>
      Array.from({ length: Math.ceil(content.length / CLUSTER) }, (_, number) => ({ id: index + 1, number })),
    ),
  );
  const parts: Buffer[] = [header];
  for (let first = 0; first < clusters.length; first += 59) {
    const extent = Buffer.alloc(512);
    extent.write('VMAE', 0, 'latin1');
    UUID.copy(extent, 8);
    const stored: Buffer[] = [];
    for (const [slot, { id, number }] of clusters.slice(first, first + 59).entries()) {
      const { content } = disks[id - 1]!;
      let mask = 0;
      for (let bit = 0; bit < 16; bit += 1) {
        const block = Buffer.alloc(BLOCK);
        content.subarray(number * CLUSTER + bit * BLOCK, number * CLUSTER + (bit + 1) * BLOCK).copy(block);
        if (block.equals(ZEROS)) continue;
        mask |= 1 << bit;
        stored.push(block);
      }
      extent.writeUInt16BE(mask, 40 + slot * 8);
      extent.writeUInt8(id, 40 + slot * 8 + 3);
      extent.writeUInt32BE(number, 40 + slot * 8 + 4);
    }
    extent.writeUInt16BE(stored.length, 6);
    md5(extent, 24);
    parts.push(extent, ...stored);
  }
  return Buffer.concat(parts);
}

/** Writes the MD5 of all bytes, with zeros in its own place, to that place. */
export function md5(bytes: Buffer, at: number): void {
  bytes.fill(0, at, at + 16);
  createHash('md5').update(bytes).digest().copy(bytes, at);
}
