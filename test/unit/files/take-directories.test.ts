import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { takeDirectories } from '../../../src/files/take-directories.js';
import { run } from '../../../src/tools/run.js';

const OWNER = 64_101;

function jobDirectory(): { work: string; source: string; dropped: string } {
  const work = mkdtempSync(join(tmpdir(), 'h2k-take-'));
  onTestFinished(() => rmSync(work, { recursive: true }));
  const source = join(work, 'source');
  const dropped = join(source, 'web01');
  mkdirSync(join(dropped, 'deep', 'deeper'), { recursive: true });
  writeFileSync(join(dropped, 'disk.raw'), 'disk');
  writeFileSync(join(dropped, 'deep', 'deeper', 'notes'), 'notes');
  for (const path of ['', 'deep', 'deep/deeper', 'disk.raw', 'deep/deeper/notes'])
    chownSync(join(dropped, path), OWNER, OWNER);
  return { work, source, dropped };
}

// Only root has directories of others.
describe.runIf(process.geteuid?.() === 0)('takeDirectories', () => {
  it('leaves their former owner no way to what is in them', async () => {
    const { work, source, dropped } = jobDirectory();
    chmodSync(work, 0o700);
    // A descriptor leads to the directory, whatever the path's permissions are: so does the directory that a
    // process is in.
    const identity = [`--reuid=${OWNER}`, `--regid=${OWNER}`, '--clear-groups', '--inh-caps=-all'];
    const signals = mkdtempSync(join(tmpdir(), 'h2k-take-signals-'));
    onTestFinished(() => rmSync(signals, { recursive: true }));
    chmodSync(signals, 0o755);
    const done = join(signals, 'done');
    const script = 'echo here > began; while [ ! -e "$1" ]; do sleep 0.05; done; ls -A; touch new';
    const owner = run('setpriv', [...identity, 'sh', '-c', script, 'sh', done], {
      cwd: dropped,
      okCodes: [1],
    });
    await expect.poll(() => existsSync(join(dropped, 'began'))).toBe(true);
    await takeDirectories(source);
    writeFileSync(done, '');
    expect((await owner).stdout.toString()).toBe('');
    expect(readFileSync(join(dropped, 'disk.raw'), 'utf8')).toBe('disk');
    expect(readFileSync(join(dropped, 'deep', 'deeper', 'notes'), 'utf8')).toBe('notes');
    for (const path of ['', 'deep', 'deep/deeper']) expect(statSync(join(dropped, path)).uid).toBe(0);
    expect(readdirSync(work)).toEqual(['source']);
  });

  it('leaves everything in the drop where something may not be moved', async () => {
    const { source, dropped } = jobDirectory();
    writeFileSync(join(dropped, 'locked.raw'), 'locked');
    await run('chattr', ['+i', join(dropped, 'locked.raw')]);
    try {
      await expect(takeDirectories(source)).rejects.toMatchObject({ code: 'spool.not-permitted' });
    } finally {
      await run('chattr', ['-i', join(dropped, 'locked.raw')]);
    }
    expect(readdirSync(source)).toEqual(['web01']);
    expect(readdirSync(dropped).sort()).toEqual(['deep', 'disk.raw', 'locked.raw']);
  });

  it('goes on where a call before it was killed', async () => {
    const { source, dropped } = jobDirectory();
    const { dev, ino } = statSync(dropped);
    const begun = join(source, `.taken-${dev}-${ino}`);
    mkdirSync(begun);
    renameSync(join(dropped, 'disk.raw'), join(begun, 'disk.raw'));
    await takeDirectories(source);
    expect(readdirSync(dropped).sort()).toEqual(['deep', 'disk.raw']);
    expect(existsSync(begun)).toBe(false);
  });

  it('takes the write permission of others from a directory of its own', async () => {
    const { source, dropped } = jobDirectory();
    chownSync(dropped, 0, 0);
    chmodSync(dropped, 0o2777);
    await takeDirectories(source);
    expect(statSync(dropped).mode & 0o022).toBe(0);
  });
});
