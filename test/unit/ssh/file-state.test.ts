import { link, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hardLinkWarnings } from '../../../src/ssh/changes.js';
import { locate } from '../../../src/ssh/file-state.js';
import { run } from '../../../src/tools/run.js';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'h2k-file-state-'));
  await writeFile(join(scratch, 'file'), 'x');
  await symlink('file', join(scratch, 'link'));
  await symlink('b', join(scratch, 'a'));
  await symlink('a', join(scratch, 'b'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const shell = {
  async run(script: string) {
    const { stdout, stderr, code } = await run('sh', ['-c', script], { okCodes: [0, 1] });
    return { stdout, stderr, code };
  },
};
const answering = (text: string) => ({
  run: async () => ({ code: 0, stdout: Buffer.from(text), stderr: '' }),
});

test('a link is looked at itself, or followed', async () => {
  const at = join(scratch, 'link');
  expect(await locate(shell, at, { follow: false })).toMatchObject({
    path: at,
    state: { type: 'symlink', target: 'file' },
  });
  expect(await locate(shell, at, { follow: true })).toMatchObject({
    path: join(scratch, 'file'),
    state: { type: 'file', size: 1 },
  });
});

test('a file with several names is told with their number', async () => {
  const at = join(scratch, 'one');
  await writeFile(at, 'y');
  expect(await locate(shell, at, { follow: false })).toMatchObject({ names: 1 });
  await link(at, join(scratch, 'other'));
  const { names, path, missing, device, state } = await locate(shell, at, { follow: false });
  expect(names).toBe(2);
  if (state.type === 'other') throw new Error('not a file');
  const change = { path, missing, device, before: state };
  const after = {
    type: 'file',
    sha256: '',
    size: 0,
    mode: 0o644,
    content: { kind: 'copy', from: '/' },
  } as const;
  expect(hardLinkWarnings([{ ...change, names, after }])).toEqual([
    { fixer: 'live', code: 'live.hard-links', message: expect.stringContaining(`${at} has 2 names`) },
  ]);
  expect(hardLinkWarnings([{ ...change, names: 1, after }])).toEqual([]);
  expect(hardLinkWarnings([{ ...change, names, after: { type: 'absent' } }])).toEqual([]);
});

test('links that lead round in a circle lead to no other path', async () => {
  const at = join(scratch, 'a');
  expect(await locate(shell, at, { follow: true })).toMatchObject({ path: at, state: { type: 'symlink' } });
});

test.each([true, false])(
  'a path that the host cannot resolve is no other path (follow: %j)',
  async (follow) => {
    const failing = { run: (script: string) => shell.run(`readlink() { return 1; }\n${script}`) };
    await expect(locate(failing, join(scratch, 'new/file'), { follow })).rejects.toMatchObject({
      code: 'guest.call-failed',
    });
  },
);

const SUM = 'a'.repeat(64);
test.each([
  '',
  'relative\0\x000\0absent\0',
  '/etc/x\0/usr\x000\0absent\0',
  `/etc/x\0/etc\x000\0file\0$(id)\x001 644 0 0 1\0`,
  `/etc/x\0/etc\x000\0file\0${SUM}\x001 644 0 0\0`,
])('an answer that is none is refused: %j', async (text) => {
  await expect(locate(answering(text), '/etc/x', { follow: true })).rejects.toThrow(
    'answer about /etc/x is not understood',
  );
});
