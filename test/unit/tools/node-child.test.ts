import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { startNodeChild } from '../../../src/tools/node-child.js';

it('a child that writes a file without end is stopped at its limit by an error that it can report', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'h2k-node-child-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const module = join(directory, 'writer.mjs');
  await writeFile(
    module,
    `import { openSync, writeSync } from 'node:fs';
    const file = openSync(process.env.TARGET, 'w');
    try {
      for (let n = 0; n < 64; n++) writeSync(file, Buffer.alloc(1024 * 1024));
      process.send('no limit', () => process.exit());
    } catch ({ code }) {
      process.send(code, () => process.exit());
    }`,
  );
  const target = join(directory, 'target');
  const child = startNodeChild(module, { env: { TARGET: target }, fileBytes: 4 * 1024 ** 2 });
  const said = await new Promise((resolve) => child.process.once('message', resolve));
  await child.ended;
  expect(said).toBe('EFBIG');
  expect((await stat(target)).size).toBe(4 * 1024 ** 2);
});
