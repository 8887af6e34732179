import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { toolVersions } from '../../../src/tools/versions.js';
import { scratchDirectory } from '../queue/scratch.js';

const { PATH } = process.env;
afterEach(() => {
  process.env.PATH = PATH;
});

/** Puts a qemu-img first on the search path, which notes each of its starts, and returns how to replace it. */
function fakeQemu() {
  const directory = scratchDirectory();
  const starts = join(directory, 'starts');
  const install = (version: string) => {
    const file = join(directory, 'new');
    writeFileSync(file, `#!/bin/sh\necho x >>${starts}\necho "qemu-img version ${version}"\n`, {
      mode: 0o755,
    });
    renameSync(file, join(directory, 'qemu-img'));
  };
  process.env.PATH = `${directory}:${PATH}`;
  return { install, starts: () => readFileSync(starts, 'utf8').length / 2 };
}

it('asks a tool for its version once, and again when it has been replaced', async () => {
  const { install, starts } = fakeQemu();
  install('7.2.22 (Debian 1:7.2)');
  expect([(await toolVersions()).qemu, (await toolVersions()).qemu]).toEqual(
    Array(2).fill('7.2.22 (Debian 1:7.2)'),
  );
  expect(starts()).toBe(1);
  install('8.0.0');
  expect((await toolVersions()).qemu).toBe('8.0.0');
  process.env.PATH = PATH;
  expect((await toolVersions()).qemu).not.toBe('8.0.0');
});

it('gives the version of libguestfs, the first time and later', async () => {
  const { libguestfs } = await toolVersions();
  expect(libguestfs).toMatch(/^\d+\.\d+\.\d+/);
  expect((await toolVersions()).libguestfs).toBe(libguestfs);
});
