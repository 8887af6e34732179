import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requirePrograms } from '../../../src/ssh/programs.js';
import { run } from '../../../src/tools/run.js';

let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'h2k-programs-'));
  const { stdout } = await run('sh', ['-c', 'command -v busybox && busybox --list']);
  const [busybox = '', ...applets] = stdout.toString('utf8').trim().split('\n');
  await mkdir(join(scratch, 'bin'));
  for (const applet of applets) await symlink(busybox, join(scratch, 'bin', applet));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const shellWith = (prelude: string) => ({
  async run(script: string) {
    const { stdout, stderr, code } = await run('sh', ['-c', `${prelude}\n${script}`], { okCodes: [0, 1] });
    return { stdout, stderr, code };
  },
});

test('a usual host has all programs', async () => {
  await requirePrograms(shellWith('PATH=$PATH:/usr/sbin:/sbin'));
});

test('so has one whose blkid is older than 2.30, which exits with 4 after its version', async () => {
  const old = 'blkid() { echo "blkid from util-linux 2.29.2  (libblkid 2.29.2, 22-Feb-2017)"; return 4; }';
  await requirePrograms(shellWith(`PATH=$PATH:/usr/sbin:/sbin\n${old}`));
});

test('a host whose programs are busybox’s is refused, with each that will not do', async () => {
  await expect(requirePrograms(shellWith(`PATH=${scratch}/bin`))).rejects.toMatchObject({
    code: 'live.unsupported',
    message: expect.stringMatching(/readlink \(coreutils\), cp .*find \(findutils\), tar .*blkid/),
  });
});

test('so is one that has none of them, or runs no script', async () => {
  await expect(requirePrograms(shellWith('PATH=/nonexistent'))).rejects.toMatchObject({
    message: expect.stringContaining('sha256sum'),
  });
  await expect(requirePrograms(shellWith('echo no >&2; exit 1'))).rejects.toMatchObject({
    code: 'live.unsupported',
    message: 'the host runs no script: no',
  });
});
