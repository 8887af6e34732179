import { open } from 'node:fs/promises';
import { run } from '../../src/tools/run.js';

/** Data of reparse points after Microsoft's MS-FSCC 2.1.2, in hexadecimal, as ntfs-3g takes them. */
function pathPoint(tag: number, target: string, flags: number | null): string {
  const name = Buffer.from(target, 'utf16le');
  const head = Buffer.alloc(flags === null ? 16 : 20);
  head.writeUInt32LE(tag);
  head.writeUInt16LE(head.length - 8 + 2 * name.length + 4, 4);
  head.writeUInt16LE(name.length, 10);
  head.writeUInt16LE(name.length + 2, 12);
  head.writeUInt16LE(name.length, 14);
  if (flags !== null) head.writeUInt32LE(flags, 16);
  const end = Buffer.alloc(2);
  return Buffer.concat([head, name, end, name, end]).toString('hex');
}
/** `target` is a path on drive C. */
export const junction = (target: string) => pathPoint(0xa0000003, `\\??\\C:${target}`, null);
export const relativeLink = (target: string) => pathPoint(0xa000000c, target, 1);
/** A link of the Linux subsystem: a path as Linux has them. */
export function linuxLink(target: string): string {
  const head = Buffer.alloc(12);
  head.writeUInt32LE(0xa000001d);
  head.writeUInt16LE(4 + target.length, 4);
  head.writeUInt32LE(2, 8);
  return Buffer.concat([head, Buffer.from(target)]).toString('hex');
}
/** What is left of a file whose content Windows keeps compressed elsewhere (WOF, XPRESS4K). */
export const COMPRESSED = '170000801000000001000000020000000100000000000000';

const RECORD_BYTES = 1024;

/** Returns where the record of a file of the volume begins. */
async function recordOf(image: string, path: string): Promise<number> {
  const { stdout } = await run('ntfsinfo', ['-f', '-F', path, image]);
  const inode = Number(/Dumping Inode (\d+)/.exec(stdout.toString())?.[1]);
  const { stdout: volume } = await run('ntfsinfo', ['-fm', image]);
  const number = (name: string) =>
    Number(new RegExp(`${name}:\\s+(\\d+|0x[0-9a-f]+)`, 'i').exec(volume.toString())?.[1]);
  return number('LCN of Data Attribute for FILE_MFT') * number('Cluster Size') + inode * RECORD_BYTES;
}

async function patch(image: string, at: number, change: (bytes: Buffer) => void): Promise<void> {
  const file = await open(image, 'r+');
  try {
    const bytes = Buffer.alloc(RECORD_BYTES);
    await file.read(bytes, 0, bytes.length, at);
    change(bytes);
    await file.write(bytes, 0, bytes.length, at);
  } finally {
    await file.close();
  }
}

/** Gives the first attribute of a file a length of almost 4 GiB. */
export async function lengthenAttribute(image: string, path: string): Promise<void> {
  await patch(image, await recordOf(image, path), (record) =>
    record.writeUInt32LE(0xffff_fff8, record.readUInt16LE(0x14) + 4),
  );
}

/** Has the entry of `directory` in its small parent directory lead to `above`, which it is below. */
export async function makeLoop(image: string, directory: string, above: string): Promise<void> {
  const name = Buffer.from(directory.slice(directory.lastIndexOf('/') + 1), 'utf16le');
  const parent = directory.slice(0, directory.lastIndexOf('/'));
  const inode = async (path: string) => {
    const { stdout } = await run('ntfsinfo', ['-f', '-F', path, image]);
    return Number(/Dumping Inode (\d+)/.exec(stdout.toString())?.[1]);
  };
  const [own, other] = [await inode(directory), await inode(above)];
  let sequence = 0;
  await patch(image, await recordOf(image, above), (record) => {
    sequence = record.readUInt16LE(0x10);
  });
  await patch(image, await recordOf(image, parent), (record) => {
    // The entry's own head and the fixed part of the attribute $FILE_NAME come before the name.
    const entry = record.indexOf(name) - 0x52;
    if (entry < 0 || record.readUIntLE(entry, 6) !== own) throw new Error(`no entry of ${directory}`);
    record.writeUIntLE(other, entry, 6);
    record.writeUInt16LE(sequence, entry + 6);
  });
}

/** Makes the volume one that BitLocker has encrypted, as blkid knows it: boot sector and metadata of Windows 7 on. */
export async function encryptWithBitLocker(image: string): Promise<void> {
  const metadata = 0x10_0000;
  await patch(image, 0, (sector) => {
    Buffer.from('eb58902d4656452d46532d', 'hex').copy(sector);
    Buffer.from('3bd66749292ed84a8399f6a339e3d001', 'hex').copy(sector, 160);
    for (const at of [176, 184, 192]) sector.writeBigUInt64LE(BigInt(metadata), at);
  });
  await patch(image, metadata, (block) => {
    block.write('-FVE-FS-', 0, 'latin1');
    block.writeUInt16LE(0x40, 8);
    block.writeUInt16LE(2, 10);
  });
}
