import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { indexTar } from '../../../../src/disk/base/tar.js';
import { Hyper2kvmError } from '../../../../src/errors/error.js';
import { bufferSource } from '../buffer-source.js';

describe('tar', () => {
  async function tarOf(files: Record<string, Buffer>, args: readonly string[]): Promise<Buffer> {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-tar-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
    execFileSync('tar', [...args, '-cf', join(directory, 'x.ova'), ...Object.keys(files)], {
      cwd: directory,
    });
    return readFile(join(directory, 'x.ova'));
  }
  const long = `${'n'.repeat(150)}.vmdk`;

  test.each(['ustar', 'gnu', 'pax'])('%s: members where they really are', async (format) => {
    const files = {
      'a.ovf': Buffer.from('text'),
      [format === 'ustar' ? 'b.vmdk' : long]: Buffer.alloc(3000, 7),
    };
    const archive = await tarOf(files, [`--format=${format}`]);
    const members = await indexTar(bufferSource(archive));
    expect(members.map(({ name, offset, size }) => [name, archive.subarray(offset, offset + size)])).toEqual(
      Object.entries(files),
    );
    for (const length of [0, 100, 700, 1500, 2100, 4000]) {
      await expect(indexTar(bufferSource(archive.subarray(0, length)))).rejects.toMatchObject({
        code: 'fetch.truncated',
      });
    }
  });

  test.each([
    ['../x', 'fetch.refused-reference'],
    ['/etc/cron.d/x', 'fetch.refused-reference'],
    ['a/../../b', 'fetch.refused-reference'],
  ])('a member named %s', async (name, code) => {
    const archive = await tarOf({ x: Buffer.from('1') }, [
      '--format=ustar',
      '-P',
      `--transform=s,^x$,${name},`,
    ]);
    await expect(indexTar(bufferSource(archive))).rejects.toMatchObject({ code });
  });

  test('directories are no members, and names lose what leads nowhere', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-tar-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await mkdir(join(directory, 'in/web01'), { recursive: true });
    await writeFile(join(directory, 'in/web01/a.ovf'), 'text');
    execFileSync('tar', ['-cf', '../x.ova', '.'], { cwd: join(directory, 'in') });
    const members = await indexTar(bufferSource(await readFile(join(directory, 'x.ova'))));
    expect(members.map(({ name }) => name)).toEqual(['web01/a.ovf']);
  });

  test('a sparse member in the old format: its runs, with those that do not fit the header', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-tar-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const content = Buffer.alloc(4 * 1024 ** 2 + 700);
    const file = await open(join(directory, 'a.raw'), 'w');
    await file.truncate(content.length);
    for (let index = 0; index < 30; index += 1) {
      content.fill(index + 1, index * 131_072, index * 131_072 + 4096);
      await file.write(content.subarray(index * 131_072, index * 131_072 + 4096), 0, 4096, index * 131_072);
    }
    await file.close();
    await writeFile(join(directory, 'b.ovf'), 'text');
    execFileSync('tar', ['-S', '--format=oldgnu', '-cf', 'x.tar', 'a.raw', 'b.ovf'], { cwd: directory });
    const archive = await readFile(join(directory, 'x.tar'));
    const [disk, text] = await indexTar(bufferSource(archive));
    expect(archive.toString('latin1', text!.offset, text!.offset + text!.size)).toBe('text');
    expect(disk!.sparse).toMatchObject({ size: content.length });
    const made = Buffer.alloc(content.length);
    for (const { at, offset, length } of disk!.sparse!.parts) archive.copy(made, at, offset, offset + length);
    expect(disk!.sparse!.parts.length).toBeGreaterThan(25);
    expect(made.equals(content)).toBe(true);
    await expect(indexTar(bufferSource(archive.subarray(0, 1200)))).rejects.toMatchObject({
      code: 'fetch.truncated',
    });
  });

  test('a sparse member in pax format is refused: its bytes are not where they seem', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-tar-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, 'a.raw'), 'x');
    await truncate(join(directory, 'a.raw'), 1024 ** 2);
    execFileSync('tar', ['-S', '--format=pax', '-cf', 'x.ova', 'a.raw'], { cwd: directory });
    await expect(indexTar(bufferSource(await readFile(join(directory, 'x.ova'))))).rejects.toMatchObject({
      code: 'fetch.unsupported',
    });
  });

  test('links and duplicates', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-tar-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await symlink('/etc/passwd', join(directory, 'l.vmdk'));
    execFileSync('tar', ['-cf', 'x.ova', 'l.vmdk'], { cwd: directory });
    await expect(indexTar(bufferSource(await readFile(join(directory, 'x.ova'))))).rejects.toMatchObject({
      code: 'fetch.refused-special',
    });
    const twice = await tarOf({ 'a.vmdk': Buffer.from('1'), 'b.vmdk': Buffer.from('2') }, [
      '--transform=s,^b,a,',
    ]);
    await expect(indexTar(bufferSource(twice))).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });

  test('random changes: members inside the archive, or a refusal', async () => {
    const archive = await tarOf({ 'a.ovf': Buffer.from('text'), [long]: Buffer.alloc(700) }, [
      '--format=pax',
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        async (edits) => {
          const bytes = Buffer.from(archive);
          for (const [at, value] of edits) bytes[at] = value;
          const members = await indexTar(bufferSource(bytes)).catch((error: unknown) => {
            if (error instanceof Hyper2kvmError) return [];
            throw error;
          });
          for (const { offset, size } of members) expect(offset + size).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 500 },
    );
  });
});
