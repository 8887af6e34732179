import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { sha256File } from '../../../src/files/digest.js';

const MIB = 1024 * 1024;

it.each([0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 13 * MIB + 5])(
  'hashes %i bytes, chunk by chunk',
  async (size) => {
    const directory = mkdtempSync(join(tmpdir(), 'h2k-digest-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const content = Buffer.alloc(size);
    for (let at = 0; at + 4 <= size; at += 4) content.writeUInt32LE(at, at);
    writeFileSync(join(directory, 'file'), content);
    const expected = createHash('sha256').update(content).digest('hex');
    expect(await sha256File(join(directory, 'file'))).toBe(expected);
  },
);

it('counts holes as the zeros that they are, wherever they begin and end', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-digest-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'file');
  const content = Buffer.alloc(41 * MIB + 7);
  const pieces = [0, 9 * MIB + 4096, 30 * MIB - 1];
  writeFileSync(file, '');
  truncateSync(file, content.length);
  const handle = await open(file, 'r+');
  for (const at of pieces) {
    content.write('data', at);
    await handle.write('data', at);
  }
  await handle.close();
  expect(await sha256File(file)).toBe(createHash('sha256').update(content).digest('hex'));
});

it('lets others have their turn while it counts a large hole', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-digest-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'file');
  writeFileSync(file, '');
  truncateSync(file, 64 * MIB);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await sha256File(file);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(5);
});
