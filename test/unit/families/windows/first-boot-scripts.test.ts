import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { firstBootScripts } from '../../../../src/families/windows/first-boot-scripts.js';

function directoryWith(names: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-scripts-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const name of names) writeFileSync(join(directory, name), `echo ${name}`);
  return directory;
}

const refusal = (message: string) => ({
  code: 'windows.first-boot-steps',
  message: expect.stringContaining(message),
});

describe('the batch files of windows.first_boot_steps', () => {
  it('are none without a directory, and in an empty one', async () => {
    expect(await firstBootScripts('')).toEqual([]);
    expect(await firstBootScripts(directoryWith([]))).toEqual([]);
  });

  it('come in the order of their names in any case, without other files', async () => {
    const directory = directoryWith(['b.cmd', 'C.CMD', '10 a.Cmd', '9.cmd', 'a.cmd', 'read.me', 'x.cmd~']);
    const scripts = await firstBootScripts(directory);
    expect(scripts.map(({ source }) => source)).toEqual(
      ['10 a.Cmd', '9.cmd', 'a.cmd', 'b.cmd', 'C.CMD'].map((name) => join(directory, name)),
    );
    expect(scripts[2]).toMatchObject({
      size: 10,
      sha256: createHash('sha256').update('echo a.cmd').digest('hex'),
    });
  });

  it.each([
    ['a variable', ['%TEMP%.cmd'], '"%TEMP%.cmd" must begin with'],
    ['a quote', ['a".cmd'], String.raw`"a\".cmd" must begin with`],
    ['a line end', ['a\n.cmd'], String.raw`"a\n.cmd" must begin with`],
    ['a letter that is not ASCII', ['ä.cmd'], 'must begin with'],
    ['a dot in front', ['.hidden.cmd'], 'must begin with'],
    ['more than 64 characters', [`${'a'.repeat(61)}.cmd`], 'must begin with'],
    ['a device of Windows', ['NUL.cmd'], '"NUL.cmd" is the name of a device'],
    ['a device and a space', ['com1 .cmd'], '"com1 .cmd" is the name of a device'],
  ])('are refused for a name with %s', async (_, names, message) => {
    await expect(firstBootScripts(directoryWith(names))).rejects.toMatchObject(refusal(message));
  });

  it('may have the longest name, and one that only begins as a device', async () => {
    const directory = directoryWith([`${'a'.repeat(60)}.cmd`, 'console.cmd']);
    expect(await firstBootScripts(directory)).toHaveLength(2);
  });

  it('are refused where Windows would take two for one', async () => {
    const directory = directoryWith(['one.cmd', 'ONE.cmd']);
    await expect(firstBootScripts(directory)).rejects.toMatchObject(refusal('are the same name to Windows'));
  });

  it('are refused beyond 100 files and 1 MiB', async () => {
    const many = directoryWith(Array.from({ length: 101 }, (_, index) => `${index}.cmd`));
    await expect(firstBootScripts(many)).rejects.toMatchObject(refusal('more than 100'));
    const large = directoryWith([]);
    writeFileSync(join(large, 'large.cmd'), Buffer.alloc(1024 * 1024 + 1));
    await expect(firstBootScripts(large)).rejects.toMatchObject(refusal('large.cmd: it is larger than'));
    writeFileSync(join(large, 'large.cmd'), Buffer.alloc(1024 * 1024));
    expect(await firstBootScripts(large)).toHaveLength(1);
  });

  it('are refused if they are no regular files, or the directory is none', async () => {
    const directory = directoryWith(['real.cmd']);
    await expect(firstBootScripts(join(directory, 'real.cmd'))).rejects.toMatchObject(refusal('ENOTDIR'));
    await expect(firstBootScripts(join(directory, 'none'))).rejects.toMatchObject(refusal('ENOENT'));
    symlinkSync('real.cmd', join(directory, 'link.cmd'));
    await expect(firstBootScripts(directory)).rejects.toMatchObject(refusal('link.cmd: '));
    rmSync(join(directory, 'link.cmd'));
    mkdirSync(join(directory, 'folder.cmd'));
    await expect(firstBootScripts(directory)).rejects.toMatchObject(
      refusal('folder.cmd: it is not a regular'),
    );
  });
});
