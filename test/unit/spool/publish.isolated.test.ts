import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { publishDirectory } from '../../../src/spool/publish.js';
import { scratchDirectory } from '../queue/scratch.js';

/** An fsync cannot be seen from outside: each is recorded with what was there when it was made. */
const synced = vi.hoisted(() => [] as { path: string; published: boolean }[]);
let to = '';
vi.mock('../../../src/files/durable.js', async (original) => ({
  ...(await original<typeof import('../../../src/files/durable.js')>()),
  syncPath: async (path: string) => void synced.push({ path, published: existsSync(to) }),
}));
afterEach(() => void synced.splice(0));

function bundle(): { from: string; root: string } {
  const root = scratchDirectory();
  const from = join(root, 'work', 'j1', 'bundle');
  mkdirSync(from, { recursive: true });
  mkdirSync(join(root, 'archive'));
  writeFileSync(join(from, 'report.json'), '{}');
  to = join(root, 'archive', '2026-01-31', 'vm-j1');
  return { from, root };
}

describe('publishDirectory', () => {
  it('appears at its new name, which is durable before the old one is gone for good', async () => {
    const { from, root } = bundle();
    await publishDirectory(from, to, new AbortController().signal);
    expect(readdirSync(to)).toEqual(['report.json']);
    expect(existsSync(from)).toBe(false);
    expect(synced).toEqual([
      // The date's directory is new.
      { path: join(root, 'archive'), published: false },
      { path: dirname(to), published: true },
      { path: dirname(from), published: true },
    ]);
  });

  it('leaves nothing of a copy on another filesystem that is not what was to be copied', async () => {
    const { from } = bundle();
    const other = mkdtempSync('/dev/shm/h2k-test-');
    onTestFinished(() => rmSync(other, { recursive: true }));
    to = join(other, '2026-01-31', 'vm-j1');
    const changed = new Error('it has changed');
    const publish = (assertCopied: () => Promise<void>) =>
      publishDirectory(from, to, new AbortController().signal, assertCopied);
    await expect(publish(() => Promise.reject(changed))).rejects.toBe(changed);
    expect(readdirSync(dirname(to))).toEqual([]);
    await publish(async () => expect(readdirSync(dirname(to))).toEqual(['.vm-j1.partial']));
    expect(readdirSync(to)).toEqual(['report.json']);
  });
});
