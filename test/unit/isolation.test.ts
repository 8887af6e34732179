import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const HERE = fileURLToPath(new URL('.', import.meta.url));

it('a test file that replaces a module says so by its name, for the others share a process', () => {
  const files = readdirSync(HERE, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.test.ts'),
  );
  const replacing = files.filter((file) =>
    /\bvi\.(mock|doMock)\(/.test(readFileSync(`${HERE}${file}`, 'utf8')),
  );
  expect(replacing.length).toBeGreaterThan(0);
  expect(
    replacing.filter((file) => !file.endsWith('.isolated.test.ts') && file !== 'isolation.test.ts'),
  ).toEqual([]);
});
