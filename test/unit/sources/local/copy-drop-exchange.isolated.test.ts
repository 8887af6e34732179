import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { copyDrop } from '../../../../src/sources/local/copy-drop.js';
import { testRequest } from '../../engine/fakes.js';

/** Runs once, when the copy has seen what `web01` is and before it opens it: a moment that no test could hit. */
let exchange: (() => void) | null = null;
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    lstat: async (...args: Parameters<typeof real.lstat>) => {
      const stats = await real.lstat(...args);
      if (String(args[0]).endsWith('/web01')) {
        exchange?.();
        exchange = null;
      }
      return stats;
    },
  };
});
afterEach(() => {
  exchange = null;
});

it('does not follow a link that takes a directory’s place after it was looked at', async () => {
  const { workDirectory: root } = testRequest();
  const [from, to, elsewhere] = ['from', 'to', 'elsewhere'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [from, to, elsewhere, join(from, 'web01')]) mkdirSync(path);
  writeFileSync(join(elsewhere, 'canary'), 'only the daemon may read this');
  exchange = () => {
    renameSync(join(from, 'web01'), join(from, 'aside'));
    symlinkSync(elsewhere, join(from, 'web01'));
  };
  const { signal } = new AbortController();
  const copied = copyDrop({ directory: from, names: ['web01'], target: to, refuseHardLinks: true, signal });
  await expect(copied).rejects.toThrow();
  expect(exchange).toBeNull();
  expect(readdirSync(to, { recursive: true }).map(String)).not.toContain('web01/canary');
});
