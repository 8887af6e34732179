import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readVhdx } from '../../../src/disk/vhdx/index.js';
import { scratchDirectory } from '../queue/scratch.js';

const REGION_TABLE = 192 * 1024;
/** 2DC27766-F623-4200-9D64-115E9BFD4A08: the region of the block table. */
const BLOCK_TABLE = Buffer.from('6677c22d23f600429d64115e9bfd4a08', 'hex');

test('a VHDX whose blocks are all at one place is refused before any of them is read', async () => {
  const file = join(scratchDirectory(), 'a.vhdx');
  execFileSync('qemu-img', ['create', '-q', '-f', 'vhdx', '-o', 'block_size=1M', file, '256M']);
  execFileSync('qemu-io', ['-f', 'vhdx', '-c', 'write -P 1 0 1M', file], { stdio: 'ignore' });
  const bytes = await readFile(file);
  const table = Number(bytes.readBigUInt64LE(bytes.indexOf(BLOCK_TABLE, REGION_TABLE) + 16));
  const first = bytes.readBigUInt64LE(table);
  const source = {
    size: bytes.length,
    read: async (at: number, length: number) => bytes.subarray(at, at + length),
  };
  let blocks = 0;
  const put = async () => {
    blocks += 1;
  };
  await readVhdx(source, put);
  expect(blocks).toBe(1);
  for (let block = 1; block < 256; block += 1) bytes.writeBigUInt64LE(first, table + 8 * block);
  await expect(readVhdx(source, put)).rejects.toMatchObject({ code: 'fetch.corrupt' });
  expect(blocks).toBe(1);
});
