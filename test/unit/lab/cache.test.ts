import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { cached, MADE_FILE } from '../../lab/cache.ts';

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'h2k-cache-'));
  vi.stubEnv('HYPER2KVM_TEST_CACHE', join(cache, 'entries'));
  vi.stubEnv(MADE_FILE, join(cache, 'made'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true });
});

async function make(scratch: string): Promise<string> {
  const file = join(scratch, 'file');
  writeFileSync(file, 'content');
  return file;
}

it('makes an entry once, also for those who ask at the same time, and notes what it took', async () => {
  const paths = await Promise.all(['a', 'a', 'b', 'a'].map((name) => cached(name, make)));
  expect(paths.map((path) => readFileSync(path, 'utf8'))).toEqual(Array(4).fill('content'));
  expect(readdirSync(join(cache, 'entries')).sort()).toEqual(['a', 'b']);
  const made = readFileSync(join(cache, 'made'), 'utf8').trim().split('\n');
  expect(made.map((line) => JSON.parse(line).name).sort()).toEqual(['a', 'b']);
  expect(await cached('a', () => Promise.reject(new Error('made again')))).toBe(paths[0]);
});

it('leaves nothing of a failed try, and the next one makes it', async () => {
  await expect(cached('a', () => Promise.reject(new Error('no network')))).rejects.toThrow('no network');
  expect(readdirSync(join(cache, 'entries'))).toEqual([]);
  expect(readFileSync(await cached('a', make), 'utf8')).toBe('content');
});

it.each(['', '999999999\n'])('takes over the lock of a process that is gone: %j', async (content) => {
  mkdirSync(join(cache, 'entries'));
  writeFileSync(join(cache, 'entries', 'a.lock'), content);
  expect(readFileSync(await cached('a', make), 'utf8')).toBe('content');
  expect(readdirSync(join(cache, 'entries'))).toEqual(['a']);
});
