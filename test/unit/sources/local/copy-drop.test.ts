import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { copyDrop } from '../../../../src/sources/local/copy-drop.js';
import { run } from '../../../../src/tools/run.js';
import { testRequest } from '../../engine/fakes.js';

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
    truncateSync(big, 16 * MIB);
    chmodSync(big, 0o666);
    utimesSync(big, 1_700_000_000, 1_700_000_001);
    writeFileSync(join(from, 'web01', 'small.vmx'), 'x = "y"');
    symlinkSync('/etc/passwd', join(from, 'web01', 'link'));
    const unnamed = Buffer.concat([Buffer.from('b'), Buffer.from([0xfc, 0xff])]);
    const inWeb01 = (root: string) => Buffer.concat([Buffer.from(`${root}/web01/`), unnamed]);
    writeFileSync(inWeb01(from), 'x'.repeat(2 * MIB));
    await run('mkfifo', [join(from, 'web01', 'fifo')]);
    await copy(from, to, ['web01']);
    const copied = join(to, 'web01', 'deep', 'big.raw');
    expect(readFileSync(copied).equals(readFileSync(big))).toBe(true);
    expect(statSync(copied).blocks * 512).toBeLessThan(MIB);
    expect(statSync(copied).mode & 0o022).toBe(0);
    expect(statSync(copied).mtimeMs).toBe(1_700_000_001_000);
    expect(statSync(join(to, 'web01')).mode & 0o022).toBe(0);
    expect(readFileSync(join(to, 'web01', 'small.vmx'), 'utf8')).toBe('x = "y"');
    expect(statSync(inWeb01(to)).size).toBe(2 * MIB);
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
    await run('dd', ['if=/dev/urandom', `of=${disk}`, 'bs=1M', 'count=16']);
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

  it('goes on in the directory that it began with when that is exchanged for another', async () => {
    const { from, to } = places();
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => `${name}.raw`);
    for (const [directory, content] of [
      ['web01', 'honest '],
      ['secret', 'CANARY '],
    ] as const) {
      mkdirSync(join(from, directory));
      for (const name of names) writeFileSync(join(from, directory, name), content.repeat(MIB / 4));
    }
    const copying = copy(from, to, ['web01']);
    while (!names.some((name) => existsSync(join(to, 'web01', name)))) await setImmediate();
    renameSync(join(from, 'web01'), join(from, 'aside'));
    symlinkSync('secret', join(from, 'web01'));
    expect(names.every((name) => existsSync(join(to, 'web01', name)))).toBe(false);
    await copying;
    for (const name of names)
      expect(
        readFileSync(join(to, 'web01', name))
          .subarray(0, 7)
          .toString(),
      ).toBe('honest ');
  });
});
