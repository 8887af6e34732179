import { describe, expect, test } from 'vitest';
import { compressionIn, compressionOf, ExpansionBudget, innerName } from '../../../src/disk/compression.js';
import { bufferSource } from './buffer-source.js';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

describe('what is inside by the name', () => {
  test.each([
    ['web01.vmdk.gz', 'web01.vmdk', 'gzip'],
    ['web01.QCOW2.XZ', 'web01.QCOW2', 'xz'],
    ['a.b.raw.zst', 'a.b.raw', 'zstd'],
    ['web01.ova.gz', 'web01.ova', 'gzip'],
    ['web01.tar.gz', 'web01.tar', 'gzip'],
  ])('%s', (name, inner, compression) => {
    expect(compressionOf(name)).toMatchObject({ inner, compression: { name: compression } });
    expect(innerName(name)).toBe(inner);
  });
  test.each(['backup.log.gz', 'web01.gz', '.gz', 'notes.txt.xz', 'web01.vmdk'])('%s is none', (name) => {
    expect(compressionOf(name)).toBeNull();
    expect(innerName(name)).toBe(name);
  });
});

const XZ = bufferSource(Buffer.from('fd377a585a0000', 'hex'));

test('a name that lies about its compression', async () => {
  await expect(compressionIn('a.raw.xz', bufferSource(Buffer.from('QFI\xfb')))).rejects.toMatchObject({
    code: 'fetch.conflicting-format',
  });
  expect(await compressionIn('a.raw.xz', XZ)).toMatchObject({ inner: 'a.raw' });
});

test.each([
  ['a.ova', 'a.ova'],
  ['disk1.vmdk', 'disk1.vmdk'],
  ['a.qcow2', 'a.qcow2'],
])('%s that is compressed under its own name', async (name, inner) => {
  expect(await compressionIn(name, XZ)).toMatchObject({ inner, compression: { name: 'xz' } });
  expect(await compressionIn(name, bufferSource(Buffer.from('KDMV')))).toBeNull();
});

test('a raw disk or a text may begin with anything', async () => {
  expect(await compressionIn('a.img', XZ)).toBeNull();
  expect(await compressionIn('notes.txt', XZ)).toBeNull();
});

describe('how far a file may grow', () => {
  const budget = (packed: number, maxBytes = 1024 * GIB) =>
    new ExpansionBudget({ name: 'a.raw.gz', packed, maxExpansion: 1000, maxBytes });
  const fill = (target: ExpansionBudget, bytes: number, isZero: boolean) => {
    for (let done = 0; done < bytes; done += 8 * MIB) target.take(8 * MIB, isZero);
  };

  test('a nearly empty disk of 8 GiB, however small it is packed', () => {
    expect(() => fill(budget(1000), 8 * GIB, true)).not.toThrow();
    expect(() => fill(budget(1000), 8 * GIB + MIB, true)).toThrow(
      expect.objectContaining({ code: 'fetch.bomb' }),
    );
  });
  test('a real disk: a third of its data, much emptiness', () => {
    const real = budget(300 * MIB);
    fill(real, GIB, false);
    expect(() => fill(real, 200 * GIB, true)).not.toThrow();
  });
  test('data that packed a thousandfold are refused after 32 MiB', () => {
    expect(() => fill(budget(100_000), 32 * MIB, false)).not.toThrow();
    expect(() => fill(budget(100_000), 40 * MIB, false)).toThrow(/100 times its size/);
  });
  test('never more than the largest disk', () => {
    expect(() => fill(budget(10 * GIB, GIB), GIB + MIB, false)).toThrow(
      /1 GiB \(flatten.max_virtual_size_gib\)/,
    );
  });
});
