import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { exists } from '../../../src/files/exists.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-exists-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('a file, a directory and a link to nowhere are there', async () => {
  const at = (name: string) => join(directory, name);
  await writeFile(at('file'), '');
  await mkdir(at('directory'));
  await symlink('nowhere', at('link'));
  expect(await Promise.all(['file', 'directory', 'link'].map((name) => exists(at(name))))).toEqual([
    true,
    true,
    true,
  ]);
  expect(await exists(at('none'))).toBe(false);
  expect(await exists(at('file/below'))).toBe(false);
});

test('what cannot be told is an error', async () => {
  await expect(exists(join(directory, 'n'.repeat(256)))).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
});
