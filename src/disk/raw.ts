import { corrupt, u64le } from './base/bytes.js';
import { type ByteSource, type DiskFormat, type ParsedImage, SECTOR } from './base/format.js';

/**
 * A plain disk image: bytes without a header. Accepted only if a partition table, a boot sector or a known
 * filesystem is found, because tools that do not check treat any file as a raw disk.
 */
export const raw: DiskFormat = {
  name: 'raw',
  extensions: ['raw', 'img', 'dd'],
  driver: 'raw',
  detect: async (_head, source) => rawContent(await source.read(0, HEAD_BYTES)) !== null,
  parse: (source) => parseRaw(source),
};

/** With `variant`, the bytes are a disk because something else declares it (an empty data disk of a VM). */
export async function parseRaw(source: ByteSource, variant?: string): Promise<ParsedImage> {
  const { size } = source;
  if (size % SECTOR !== 0) throw corrupt(`a raw disk of ${size} bytes is not a multiple of 512`);
  const head = await source.read(0, HEAD_BYTES);
  const content = rawContent(head);
  const end = tableEnd(head, content);
  const base = { format: 'raw', role: 'disk', contentId: null, parent: null } as const;
  return {
    image: { ...base, variant: variant ?? content ?? 'unknown', virtualSize: size, extents: [] },
    check: async (whole) =>
      end > whole.size
        ? { complete: false, reason: `the partition table ends at byte ${end}, the file has ${whole.size}` }
        : { complete: true, allocated: null },
  };
}

/** The last signature is after 64 KiB. */
const HEAD_BYTES = 65_608;

const SIGNATURES: readonly { name: string; offset: number; magic: Buffer }[] = [
  { name: 'gpt', offset: 512, magic: Buffer.from('EFI PART') },
  { name: 'gpt-4k', offset: 4096, magic: Buffer.from('EFI PART') },
  { name: 'ntfs', offset: 3, magic: Buffer.from('NTFS    ') },
  { name: 'xfs', offset: 0, magic: Buffer.from('XFSB') },
  { name: 'luks', offset: 0, magic: Buffer.from('LUKS\xba\xbe', 'latin1') },
  { name: 'lvm2', offset: 512, magic: Buffer.from('LABELONE') },
  { name: 'ext', offset: 1080, magic: Buffer.from([0x53, 0xef]) },
  { name: 'swap', offset: 4086, magic: Buffer.from('SWAPSPACE2') },
  { name: 'md', offset: 4096, magic: Buffer.from([0xfc, 0x4e, 0x2b, 0xa9]) },
  { name: 'btrfs', offset: 65_600, magic: Buffer.from('_BHRfS_M') },
];
const MBR_TABLE = 446;

/** Returns what the disk starts with (`gpt`, `mbr`, `fat`, `ext`, …); null if nothing is recognised. */
function rawContent(head: Buffer): string | null {
  for (const { name, offset, magic } of SIGNATURES) {
    if (head.subarray(offset, offset + magic.length).equals(magic)) return name;
  }
  if (head.length < SECTOR || head.readUInt16LE(510) !== 0xaa55) return null;
  if (
    /^FAT(12|16|32)? *$/.test(head.toString('latin1', 54, 62)) ||
    head.toString('latin1', 82, 87) === 'FAT32'
  )
    return 'fat';
  return mbrPartitions(head) === null ? null : 'mbr';
}

/**
 * Returns the MBR's partitions in sectors; null if it is not a partition table (an invalid status byte, or no
 * entry at all).
 */
function mbrPartitions(head: Buffer): { type: number; start: number; sectors: number }[] | null {
  const partitions = [0, 1, 2, 3].map((i) => {
    const at = MBR_TABLE + i * 16;
    return {
      status: head[at]!,
      type: head[at + 4]!,
      start: head.readUInt32LE(at + 8),
      sectors: head.readUInt32LE(at + 12),
    };
  });
  if (partitions.some(({ status }) => status !== 0 && status !== 0x80)) return null;
  const used = partitions.filter(({ type, sectors }) => type !== 0 && sectors !== 0);
  return used.length === 0 ? null : used;
}

/**
 * Returns the disk's end according to the partition table, in bytes: GPT's backup header, or the MBR's last
 * partition. 0 without a table: filesystems are not checked.
 */
function tableEnd(head: Buffer, content: string | null): number {
  if (content === 'gpt' || content === 'gpt-4k') {
    const sector = content === 'gpt' ? 512 : 4096;
    const header = head.subarray(sector, sector + 40);
    if (header.length < 40) return sector + 512;
    return (u64le(header, 32, 'the GPT’s backup header') + 1) * sector;
  }
  if (content !== 'mbr') return 0;
  const partitions = mbrPartitions(head) ?? [];
  // A protective MBR (type ee) covers the disk up to 2 TiB, or has all bits set.
  if (partitions.some(({ type }) => type === 0xee)) return 0;
  return Math.max(...partitions.map(({ start, sectors }) => (start + sectors) * SECTOR));
}
