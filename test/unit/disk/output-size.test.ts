import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { largestOutput } from '../../../src/disk/output-size.js';
import { convertTarget } from '../../../src/stages/convert/output-format.js';
import { convertImage } from '../../../src/tools/qemu-img.js';
import { scratchDirectory } from '../queue/scratch.js';

const MIB = 1024 ** 2;
const SIZE = 16 * MIB;
/** `st_blocks` also counts blocks in which a busy filesystem keeps a fragmented file's list of extents. */
const EXTENT_BLOCKS = 64 * 1024;
const options = (convert: Record<string, unknown>) => configSchema.parse({ convert }).convert;

/** Real disks of qemu-img, half of them random data in runs that are no multiple of anything. */
function sourceDisk(directory: string): string {
  const file = join(directory, 'source.raw');
  const disk = openSync(file, 'w');
  ftruncateSync(disk, SIZE);
  for (let at = 0; at < SIZE; at += 4 * MIB) writeSync(disk, randomBytes(2 * MIB), 0, 2 * MIB, at);
  closeSync(disk);
  return file;
}

describe('largestOutput', () => {
  it('is at least what qemu-img writes, in every form, and not much more', async () => {
    const directory = scratchDirectory();
    const source = sourceDisk(directory);
    const usedBytes = statSync(source).blocks * 512;
    const signal = new AbortController().signal;
    const forms = [
      { format: 'qcow2' },
      { format: 'qcow2', preallocation: 'metadata' },
      { format: 'qcow2', preallocation: 'falloc' },
      { format: 'qcow2', sparse: false },
      { format: 'qcow2', compression: 'zstd' },
      { format: 'qcow2', cluster_size_kib: 2048 },
      { format: 'raw' },
      { format: 'raw', preallocation: 'falloc' },
      { format: 'vdi' },
      { format: 'vdi', preallocation: 'metadata' },
      { format: 'vmdk' },
    ];
    for (const [index, form] of forms.entries()) {
      const convert = options(form);
      const target = join(directory, `out${index}`);
      const request = { source, sourceFormat: 'raw' as const, target, ...convertTarget(convert) };
      await convertImage(request, { signal, timeoutSeconds: 60, onPercent: () => {} });
      const written = statSync(target).blocks * 512;
      const largest = largestOutput({ virtualSize: SIZE, usedBytes }, convert);
      expect({ form, fits: largest + EXTENT_BLOCKS >= written, written }).toMatchObject({ form, fits: true });
      expect({ form, largest, isClose: largest < written * 1.1 + 16 * MIB }).toMatchObject({
        form,
        isClose: true,
      });
    }
  });

  it('knows a disk of which nothing is used from one that is full', () => {
    const tib = 1024 ** 4;
    const thin = largestOutput({ virtualSize: 64 * tib, usedBytes: 10 * MIB }, options({}));
    expect(thin).toBeLessThan(4.5 * 1024 ** 3);
    expect(largestOutput({ virtualSize: tib, usedBytes: 2 * tib }, options({}))).toBeGreaterThan(tib);
    expect(largestOutput({ virtualSize: tib, usedBytes: 0 }, options({ format: 'raw' }))).toBe(0);
    expect(
      largestOutput({ virtualSize: tib, usedBytes: 0 }, options({ preallocation: 'full' })),
    ).toBeGreaterThan(tib);
  });
});
