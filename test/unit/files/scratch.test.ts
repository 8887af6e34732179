import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { socketDirectory, sweepSocketDirectories } from '../../../src/files/scratch.js';

const MODULE = new URL('../../../src/files/scratch.ts', import.meta.url);
const SOURCES = new URL('../../typescript-sources.mjs', import.meta.url);

let base: string;
beforeEach(() => {
  base = mkdtempSync('/tmp/h2k-scratch-');
  vi.stubEnv('TMPDIR', base);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(base, { recursive: true });
  });
});

/** One of a process that was killed when it had made it, as in the probe for KVM. */
async function leftBehind(): Promise<string> {
  const script = `
    import { socketDirectory } from ${JSON.stringify(pathToFileURL(MODULE.pathname).href)};
    console.log(await socketDirectory());
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--import', SOURCES.href, '--input-type=module', '-e', script]);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  return line.toString().trim();
}

describe('sweepSocketDirectories', () => {
  it('removes those of processes that are gone, and nothing else', async () => {
    const [own, left] = [await socketDirectory(), await leftBehind()];
    const others = ['h2k-it-1', 'h2k-1-x', 'other'].map((name) => join(base, name));
    for (const other of others) mkdirSync(other);
    expect(existsSync(left)).toBe(true);
    await sweepSocketDirectories();
    expect([own, left, ...others].filter(existsSync)).toEqual([own, ...others]);
  });

  it('removes one of a process that had this one’s pid, as in a container that is started again', async () => {
    const own = await socketDirectory();
    const renamed = (change: (numbers: string[]) => string[]) => {
      const [numbers = '', ...rest] = basename(own).slice('h2k-'.length).split('-');
      return join(dirname(own), `h2k-${[change(numbers.split('.')).join('.'), ...rest].join('-')}`);
    };
    const earlier = renamed(([namespace = '', pid = '']) => [namespace, pid, '1']);
    const elsewhere = renamed(([, pid = '']) => ['1', pid, '1']);
    renameSync(own, earlier);
    mkdirSync(elsewhere);
    await sweepSocketDirectories();
    expect([earlier, elsewhere].filter(existsSync)).toEqual([elsewhere]);
  });
});
