import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { copyDrop } from '../../../src/pipeline/copy-drop.js';
import { run } from '../../../src/tools/run.js';
import { testRequest } from './fakes.js';

const MIB = 1024 ** 2;

function places(): { from: string; to: string } {
  const { workDirectory: root } = testRequest();
  const from = join(root, 'from');
  const to = join(root, 'to');
  for (const path of [from, to]) mkdirSync(path);
  return { from, to };
}

const copy = (from: string, to: string, names: string[], refuseHardLinks = true) =>
  copyDrop({ directory: from, names, target: to, refuseHardLinks, signal: new AbortController().signal });

describe('copyDrop', () => {
  it('copies files, holes and directories into inodes that nobody else may write to', async () => {
    const { from, to } = places();
    mkdirSync(join(from, 'web01', 'deep'), { recursive: true, mode: 0o777 });
    const big = join(from, 'web01', 'deep', 'big.raw');
    writeFileSync(big, 'start');
    truncateSync(big, 64 * MIB);
    chmodSync(big, 0o666);
    utimesSync(big, 1_700_000_000, 1_700_000_001);
    writeFileSync(join(from, 'web01', 'small.vmx'), 'x = "y"');
    symlinkSync('/etc/passwd', join(from, 'web01', 'link'));
    await run('mkfifo', [join(from, 'web01', 'fifo')]);
    await copy(from, to, ['web01']);
    const copied = join(to, 'web01', 'deep', 'big.raw');
    expect(readFileSync(copied).equals(readFileSync(big))).toBe(true);
    expect(statSync(copied).blocks * 512).toBeLessThan(MIB);
    expect(statSync(copied).mode & 0o022).toBe(0);
    expect(statSync(copied).mtimeMs).toBe(1_700_000_001_000);
    expect(statSync(join(to, 'web01')).mode & 0o022).toBe(0);
    expect(readFileSync(join(to, 'web01', 'small.vmx'), 'utf8')).toBe('x = "y"');
    expect(readlinkSync(join(to, 'web01', 'link'))).toBe('/etc/passwd');
    expect(lstatSync(join(to, 'web01', 'fifo')).isFIFO()).toBe(true);
  });

  it('refuses a file that has another name', async () => {
    const { from, to } = places();
    writeFileSync(join(from, 'secret'), 'x');
    linkSync(join(from, 'secret'), join(from, 'disk.raw'));
    await expect(copy(from, to, ['disk.raw'])).rejects.toMatchObject({ code: 'fetch.refused-special' });
    await copy(from, to, ['disk.raw'], false);
  });

  it('says so when a file is written to while it is copied', async () => {
    const { from, to } = places();
    const disk = join(from, 'disk.raw');
    await run('dd', ['if=/dev/urandom', `of=${disk}`, 'bs=1M', 'count=64']);
    const copying = copy(from, to, ['disk.raw']);
    const end = { reached: false };
    copying
      .catch(() => undefined)
      .finally(() => {
        end.reached = true;
      });
    while (!end.reached) {
      writeFileSync(disk, 'other', { flag: 'r+' });
      await setImmediate();
    }
    await expect(copying).rejects.toMatchObject({ code: 'source.changed' });
  });

  it('never copies what a directory or file was exchanged for, however fast', async () => {
    const { from, to } = places();
    mkdirSync(join(from, 'secret'));
    writeFileSync(join(from, 'secret', 'disk.raw'), 'CANARY');
    mkdirSync(join(from, 'drop', 'inner'), { recursive: true });
    writeFileSync(join(from, 'drop', 'inner', 'disk.raw'), 'honest');
    // A process of its own: this one is busy with the copies.
    const swap = `cd ${join(from, 'drop')} && while :; do mv inner ../away; ln -s ../secret inner; rm inner; mv ../away inner; done`;
    const stop = new AbortController();
    const swapping = run('sh', ['-c', swap], { signal: stop.signal }).catch(() => undefined);
    try {
      let copies = 0;
      for (let tries = 0; tries < 300 || copies === 0; tries++) {
        const target = join(to, `${tries}`);
        mkdirSync(target);
        const whole = await copy(from, target, ['drop']).then(
          () => true,
          // The name was free for a moment.
          (error: NodeJS.ErrnoException) => {
            if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(error.code ?? '')) throw error;
            return false;
          },
        );
        if (!whole) continue;
        const inner = join(target, 'drop', 'inner');
        if (lstatSync(inner, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
        copies += 1;
        expect(readFileSync(join(inner, 'disk.raw'), 'utf8')).toBe('honest');
      }
    } finally {
      stop.abort();
      await swapping;
    }
    if (existsSync(join(from, 'away'))) renameSync(join(from, 'away'), join(from, 'kept'));
    rmSync(from, { recursive: true });
  });
});
