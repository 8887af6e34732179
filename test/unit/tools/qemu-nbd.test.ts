import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, describe, expect, it } from 'vitest';
import { createImage } from '../../../src/tools/qemu-img.js';
import { withServedImage } from '../../../src/tools/qemu-nbd.js';
import { MIB } from '../../integration/flatten-images.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-nbd-'));
  return () => rm(directory, { recursive: true });
});
const path = (name: string) => join(directory, name);
const never = new AbortController().signal;

describe('an image that is served', () => {
  it('has what was written to it, also in pieces that come in many parts', async () => {
    await createImage({ file: path('a.qcow2'), format: 'qcow2', size: 8 * MIB });
    const data = Buffer.alloc(2 * MIB, 'some text of a prime length, 41 bytes. ');
    const image = { file: path('a.qcow2'), format: 'qcow2' };
    await withServedImage({ ...image, isWritable: true }, never, async (disk) => {
      await disk.write(MIB, data);
      await disk.write(512, Buffer.from('x'.repeat(512)));
      await disk.writeZeroes(2 * MIB, 4096);
      await disk.flush();
    });
    data.fill(0, MIB, MIB + 4096);
    await withServedImage({ ...image, isWritable: false }, never, async (disk) => {
      expect((await disk.read(MIB, 2 * MIB)).equals(data)).toBe(true);
      expect((await disk.read(512, 512)).toString()).toBe('x'.repeat(512));
      await expect(disk.write(0, Buffer.alloc(512))).rejects.toMatchObject({ code: 'tool.failed' });
      await expect(disk.read(8 * MIB, 512)).rejects.toMatchObject({ code: 'tool.failed' });
      expect((await disk.read(0, 512)).every((byte) => byte === 0)).toBe(true);
    });
  });

  it('that is none is refused with what qemu-nbd says, and one whose use fails with that error', async () => {
    await writeFile(path('b.qcow2'), 'no image');
    const image = { file: path('b.qcow2'), format: 'qcow2', isWritable: false };
    await expect(withServedImage(image, never, async () => {})).rejects.toMatchObject({
      code: 'tool.failed',
    });
    const raw = { ...image, format: 'raw' };
    await expect(
      withServedImage(raw, never, async () => {
        throw new Error('as the test wants it');
      }),
    ).rejects.toThrow('as the test wants it');
  });

  it('is read and written in any number of requests, of which nothing stays in memory', async () => {
    await writeFile(path('d.raw'), Buffer.alloc(4096));
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const used = () => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const image = { file: path('d.raw'), format: 'raw', isWritable: false };
    await withServedImage(image, never, async (disk) => {
      const requests = async (count: number) => {
        for (let n = 0; n < count; n++) await disk.read(512, 512);
      };
      await requests(500);
      const before = used();
      await requests(2000);
      expect((used() - before) / 2000).toBeLessThan(150);
    });
  });

  it('ends with the signal, whose reason it is, and only when what was opened inside has ended', async () => {
    await writeFile(path('c.raw'), Buffer.alloc(4096));
    await writeFile(path('e.raw'), Buffer.alloc(4096));
    const abort = new AbortController();
    let isInsideOpen = false;
    const image = { file: path('c.raw'), format: 'raw', isWritable: false };
    const served = withServedImage(image, abort.signal, (from) =>
      withServedImage({ ...image, file: path('e.raw'), isWritable: true }, never, async (to) => {
        isInsideOpen = true;
        abort.abort(new Error('enough'));
        for (;;) await to.write(0, await from.read(0, 512));
      }).finally(() => {
        isInsideOpen = false;
      }),
    );
    await expect(served).rejects.toThrow('enough');
    expect(isInsideOpen).toBe(false);
  });
});
