import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { StageContext } from '../../../../src/engine/stage.js';
import { dropPaths, holdSource, type SourceHold } from '../../../../src/sources/local/hold-source.js';
import { run } from '../../../../src/tools/run.js';
import { probeSandbox, sandboxPrefix } from '../../../../src/tools/sandbox.js';
import { silent, testRequest } from '../../engine/fakes.js';

const { kind } = await probeSandbox();
const OTHER_USER = 64_101;
const tryToWrite = (path: string) => closeSync(openSync(path, constants.O_RDWR | constants.O_NONBLOCK));

function drop(): { directory: string; workDirectory: string; disk: string } {
  const { workDirectory: root } = testRequest();
  const directory = join(root, 'drop');
  const workDirectory = join(root, 'work');
  for (const path of [directory, workDirectory]) mkdirSync(path);
  const disk = join(directory, 'disk.raw');
  writeFileSync(disk, 'honest');
  return { directory, workDirectory, disk };
}

async function hold(
  { directory, workDirectory }: ReturnType<typeof drop>,
  entries = ['disk.raw'],
  reserve: StageContext['reserve'] = async () => {},
): Promise<SourceHold> {
  const held = await holdSource({
    source: { directory, entries },
    workDirectory,
    reserve,
    signal: new AbortController().signal,
    log: silent,
  });
  onTestFinished(() => held.release());
  return held;
}

describe('holdSource', () => {
  it('reads the drop in place, and lets nobody write to it until it is released', async () => {
    const place = drop();
    const held = await hold(place);
    expect(held.source.directory).toBe(place.directory);
    expect(readFileSync(place.disk, 'utf8')).toBe('honest');
    held.assert();
    expect(() => tryToWrite(place.disk)).toThrow(/EAGAIN|EWOULDBLOCK/);
    expect(() => held.assert()).toThrow(/opened for writing/);
    await expect.poll(() => held.signal.aborted).toBe(true);
    await held.release();
    tryToWrite(place.disk);
  });

  it('refuses a drop that somebody has open for writing', async () => {
    const place = drop();
    const writer = await open(place.disk, 'r+');
    onTestFinished(() => writer.close());
    await expect(hold(place)).rejects.toMatchObject({ code: 'source.open-for-writing' });
  });

  it('refuses a name that is not UTF-8 for what it is', async () => {
    const place = drop();
    mkdirSync(join(place.directory, 'web01'));
    const name = Buffer.concat([Buffer.from(join(place.directory, 'web01/b')), Buffer.from([0xfc, 0xff])]);
    writeFileSync(name, '');
    await expect(hold(place, ['disk.raw', 'web01'])).rejects.toMatchObject({ code: 'fetch.refused-name' });
  });

  it('leaves what is no file to FETCH', async () => {
    const place = drop();
    mkdirSync(join(place.directory, 'web01'));
    symlinkSync('/etc/passwd', join(place.directory, 'link'));
    await run('mkfifo', [join(place.directory, 'fifo')]);
    const held = await hold(place, ['disk.raw', 'fifo', 'link', 'web01']);
    held.assert();
  });
});

// Only root has files of others.
describe.runIf(process.geteuid?.() === 0)('a drop of another user', () => {
  it('whose directory is not theirs needs no copy', async () => {
    const place = drop();
    chownSync(place.disk, OTHER_USER, OTHER_USER);
    expect((await hold(place)).source.directory).toBe(place.directory);
  });

  it.each([
    [
      'the directory of the file',
      (place: ReturnType<typeof drop>) => chownSync(place.directory, OTHER_USER, 0),
    ],
    ['a directory above', (place: ReturnType<typeof drop>) => chmodSync(join(place.directory, '..'), 0o777)],
    [
      'a sticky directory, of which it is an entry',
      (place: ReturnType<typeof drop>) => {
        chmodSync(place.directory, 0o1777);
        chownSync(place.disk, OTHER_USER, 0);
      },
    ],
  ])('who could exchange names in %s is copied, once', async (_where, prepare) => {
    const place = drop();
    prepare(place);
    const held = await hold(place);
    const copy = join(held.source.directory, 'disk.raw');
    expect(held.source.directory.startsWith(place.workDirectory)).toBe(true);
    expect(readFileSync(copy, 'utf8')).toBe('honest');
    expect(statSync(copy)).toMatchObject({ uid: process.geteuid?.(), nlink: 1 });
    expect((await hold(place)).source.directory).toBe(held.source.directory);
    writeFileSync(place.disk, 'hostile');
    expect(readFileSync(copy, 'utf8')).toBe('honest');
    held.assert();

    const another = await hold(place);
    expect(existsSync(copy)).toBe(false);
    expect(readFileSync(join(another.source.directory, 'disk.raw'), 'utf8')).toBe('hostile');
    expect(readdirSync(place.workDirectory)).toHaveLength(1);
  });

  it('is copied only when there is room for the copy beside it', async () => {
    const place = drop();
    chownSync(place.directory, OTHER_USER, 0);
    writeFileSync(place.disk, Buffer.alloc(300_000, 1));
    const asked: unknown[] = [];
    const full = new Error('others have it');
    const reserve: StageContext['reserve'] = async (...args) => {
      asked.push(args);
      if (asked.length === 1) throw full;
    };
    await expect(hold(place, ['disk.raw'], reserve)).rejects.toBe(full);
    expect(readdirSync(place.workDirectory)).toEqual([]);
    await hold(place, ['disk.raw'], reserve);
    const bytes = statSync(place.disk).blocks * 512;
    expect(asked).toEqual([
      [bytes, { atLeast: true }],
      [bytes, { atLeast: true }],
    ]);
    // What has been made takes up its space already.
    await hold(place, ['disk.raw'], reserve);
    expect(asked).toHaveLength(2);
  });

  it.runIf(kind === 'bubblewrap')(
    'can be written to by no tool that may write to the work directory, nor can its copy',
    async () => {
      const { workDirectory: directory } = testRequest();
      const place = { directory: join(directory, 'source'), workDirectory: directory, disk: '' };
      mkdirSync(place.directory);
      writeFileSync(join(place.directory, 'disk.raw'), 'honest');
      chownSync(place.directory, OTHER_USER, 0);
      const { source } = await hold(place);
      expect(source.directory).not.toBe(place.directory);
      const wrapper = await sandboxPrefix({ readable: dropPaths(source), writable: [directory] });
      const write = (path: string) => run('sh', ['-c', `echo x > ${path}`], { wrapper, okCodes: [0, 2] });
      for (const where of [place.directory, source.directory])
        expect((await write(join(where, 'disk.raw'))).stderr).toMatch(/Read-only/);
      expect((await write(join(directory, 'scratch'))).code).toBe(0);
    },
  );
});
