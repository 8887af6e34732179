import { execFileSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unpackedEstimate } from '../../../src/disk/unpacked-size.js';
import { bufferSource } from './buffer-source.js';

const MIB = 1024 * 1024;
/** Packs to a third. */
const plain = Buffer.alloc(3 * MIB + 77);
createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(plain.subarray(0, MIB)).copy(plain);

const pack = (program: string, args: readonly string[], input = plain) =>
  execFileSync(program, args, { input, maxBuffer: 64 * MIB, stdio: ['pipe', 'pipe', 'ignore'] });

test.each([
  ['a.raw.gz', 'gzip', ['-c1']],
  ['a.raw.xz', 'xz', ['-c0']],
  ['a.raw.xz', 'xz', ['-c0', '--block-size=500000']],
  ['a.raw.zst', 'zstd', ['-cq1', `--stream-size=${plain.length}`]],
])('%s (%s): the size that it says itself', async (name, program, args) => {
  const bytes = pack(program, args);
  expect(bytes.length * 4).toBeGreaterThan(plain.length);
  expect(await unpackedEstimate(name, bufferSource(bytes))).toBe(plain.length);
});

test('without one, and where nearly all are zeros, what disks usually grow by', async () => {
  const piped = pack('zstd', ['-cq1']);
  expect(await unpackedEstimate('a.raw.zst', bufferSource(piped))).toBe(4 * piped.length);
  const zeros = pack('xz', ['-c0'], Buffer.alloc(8 * MIB));
  expect(await unpackedEstimate('a.raw.xz', bufferSource(zeros))).toBe(4 * zeros.length);
  expect(await unpackedEstimate('a.raw', bufferSource(plain))).toBe(0);
});

test('any bytes give a number within its bound', async () => {
  const seeds = [pack('gzip', ['-c1']), pack('xz', ['-c0']), pack('zstd', ['-cq1'])].map((bytes) =>
    Buffer.concat([bytes.subarray(0, 64), bytes.subarray(-64)]),
  );
  const names = ['a.raw.gz', 'a.raw.xz', 'a.raw.zst'];
  await fc.assert(
    fc.asyncProperty(
      fc.nat(2),
      fc.array(fc.tuple(fc.nat(127), fc.nat(255))),
      fc.nat(128),
      async (which, edits, cut) => {
        const bytes = Buffer.from(seeds[which]!.subarray(0, cut));
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        const size = await unpackedEstimate(names[which]!, bufferSource(bytes));
        expect(size).toBeGreaterThanOrEqual(0);
        expect(size).toBeLessThanOrEqual(4 * bytes.length);
      },
    ),
    { numRuns: 1000 },
  );
});
