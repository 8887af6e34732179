import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { syncTree, writeDurable } from '../../../src/files/durable.js';
import { run } from '../../../src/tools/run.js';

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-durable-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

it('syncs a tree with names that are not UTF-8, links that lead nowhere and a FIFO without a writer', async () => {
  const directory = scratch();
  mkdirSync(join(directory, 'sub'));
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/sub/caf`), Buffer.from([0xe9])]), 'x');
  symlinkSync('/nowhere', join(directory, 'link'));
  await run('mkfifo', [join(directory, 'fifo')]);
  await syncTree(directory);
});

it('replaces a file whole and leaves no temporary name', async () => {
  const directory = scratch();
  const file = join(directory, 'plan.json');
  writeFileSync(file, 'a longer old text');
  await writeDurable(file, 'new');
  expect(readFileSync(file, 'utf8')).toBe('new');
  expect(readdirSync(directory)).toEqual(['plan.json']);
});
