import { execFileSync } from 'node:child_process';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readSmallFile } from '../../../src/files/small-file.js';
import { scratchDirectory } from '../queue/scratch.js';

it('reads a regular file up to its limit, and nothing else', async () => {
  const directory = scratchDirectory();
  const at = (name: string) => join(directory, name);
  writeFileSync(at('a'), 'abc');
  symlinkSync(at('a'), at('link'));
  execFileSync('mkfifo', [at('fifo')]);
  expect(String(await readSmallFile(at('a'), 3))).toBe('abc');
  await expect(readSmallFile(at('a'), 2)).rejects.toThrow(/larger than 2 bytes/);
  await expect(readSmallFile(at('link'), 9)).rejects.toMatchObject({ code: 'ELOOP' });
  await expect(readSmallFile(at('fifo'), 9)).rejects.toThrow(/not a regular file/);
  await expect(readSmallFile('/dev/zero', 9)).rejects.toThrow(/not a regular file/);
});
