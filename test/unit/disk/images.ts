import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../../src/tools/run.js';
import { MIB, makeRaw } from '../../integration/flatten-images.js';

export { MIB };

/** Small real images of every form, made once a test file by qemu-img: their bytes by name. */
export async function realImages(
  forms: Record<string, readonly string[]>,
  size = 3 * MIB,
): Promise<Record<string, Buffer>> {
  const directory = await mkdtemp(join(tmpdir(), 'h2k-images-'));
  try {
    const raw = join(directory, 'base.raw');
    await makeRaw(raw, size);
    const result: Record<string, Buffer> = { raw: readFileSync(raw) };
    for (const [name, args] of Object.entries(forms)) {
      await run('qemu-img', ['convert', '-f', 'raw', ...args, raw, join(directory, name)]);
      result[name] = readFileSync(join(directory, name));
    }
    return result;
  } finally {
    await rm(directory, { recursive: true });
  }
}

/**
 * Turns a stream-optimized VMDK of QEMU (directory in front) into the form that VMware's tools write: the
 * header says that the directory is at the end, and footer and end-of-stream marker follow the grains.
 */
export function withFooter(image: Buffer): Buffer {
  const header = Buffer.from(image.subarray(0, 512));
  const footer = Buffer.from(header);
  header.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 56);
  const marker = (type: number, sectors: number) => {
    const sector = Buffer.alloc(512);
    sector.writeBigUInt64LE(BigInt(sectors), 0);
    sector.writeUInt32LE(type, 12);
    return sector;
  };
  const padding = Buffer.alloc((512 - (image.length % 512)) % 512);
  return Buffer.concat([header, image.subarray(512), padding, marker(3, 1), footer, marker(0, 0)]);
}

export function descriptor(lines: readonly string[], settings: Record<string, string> = {}): Buffer {
  const all = {
    version: '1',
    CID: '12345678',
    parentCID: 'ffffffff',
    createType: '"monolithicFlat"',
    ...settings,
  };
  const text = [
    '# Disk DescriptorFile',
    ...Object.entries(all).map(([key, value]) => `${key}=${value}`),
    '# Extent description',
    ...lines,
    '',
  ];
  return Buffer.from(text.join('\n'));
}
