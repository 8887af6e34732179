import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { NewcScanner, readNewc, S_IFDIR, S_IFLNK, S_IFREG, writeNewc } from '../../../src/guest/cpio.js';

const entries = [
  { path: 'lib/modules/5.10/a.ko', mode: S_IFREG | 0o644, data: Buffer.from('module') },
  { path: 'lib', mode: S_IFDIR | 0o755 },
  { path: 'lib/modules', mode: S_IFDIR | 0o755 },
  { path: 'lib/modules/5.10', mode: S_IFDIR | 0o755 },
  { path: 'bin', mode: S_IFLNK | 0o777, data: Buffer.from('usr/bin') },
];

function scan(bytes: Buffer, chunk: number): string[] {
  const seen: string[] = [];
  const scanner = new NewcScanner((entry) => seen.push(entry.path));
  for (let offset = 0; offset < bytes.length; offset += chunk)
    scanner.push(bytes.subarray(offset, offset + chunk));
  scanner.end();
  return seen;
}

describe('newc', () => {
  it('is unpacked by cpio(1) to the files that were put in', () => {
    const directory = mkdtempSync(join(tmpdir(), 'h2k-cpio-'));
    try {
      execFileSync('cpio', ['-id', '--quiet'], { cwd: directory, input: writeNewc(entries) });
      expect(readFileSync(join(directory, 'lib/modules/5.10/a.ko'), 'utf8')).toBe('module');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('reads what cpio(1) wrote', () => {
    const directory = mkdtempSync(join(tmpdir(), 'h2k-cpio-'));
    try {
      execFileSync('cpio', ['-id', '--quiet'], { cwd: directory, input: writeNewc(entries) });
      const archive = execFileSync('sh', ['-c', 'find . | sort | cpio -o --quiet -H newc'], {
        cwd: directory,
      });
      const read = [...readNewc(archive)];
      expect(read.map(({ path }) => path).filter((path) => path !== '.')).toEqual([
        'bin',
        'lib',
        'lib/modules',
        'lib/modules/5.10',
        'lib/modules/5.10/a.ko',
      ]);
      expect(read.find(({ path }) => path === 'bin')?.data.toString()).toBe('usr/bin');
      expect(scan(archive, 7).slice(1)).toEqual(read.map(({ path }) => path).slice(1));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('is the same bytes for any order of the entries, root-owned, without times', () => {
    expect(writeNewc([...entries].reverse()).equals(writeNewc(entries))).toBe(true);
    for (const entry of readNewc(writeNewc(entries)))
      expect([entry.uid, entry.gid, entry.mtime]).toEqual([0, 0, 0]);
  });

  it('gives back the offset behind the trailer', () => {
    const archive = writeNewc(entries);
    const walk = readNewc(Buffer.concat([archive, Buffer.from('more')]));
    let last = walk.next();
    while (!last.done) last = walk.next();
    expect(last.value).toBe(archive.length);
  });

  it('lists archives that follow each other with zeros between, in any chunking', () => {
    const one = writeNewc(entries);
    const two = writeNewc([{ path: 'init', mode: S_IFREG | 0o755, data: Buffer.alloc(1001, 7) }]);
    const bytes = Buffer.concat([one, Buffer.alloc(300), two, Buffer.alloc(512)]);
    for (const chunk of [1, 3, 109, 110, 4096, bytes.length])
      expect(scan(bytes, chunk)).toEqual([
        'bin',
        'lib',
        'lib/modules',
        'lib/modules/5.10',
        'lib/modules/5.10/a.ko',
        'init',
      ]);
  });

  it('refuses every truncation and never reads outside', () => {
    const archive = writeNewc(entries);
    for (let length = 1; length < archive.length; length += 1) {
      expect(() => [...readNewc(archive.subarray(0, length))]).toThrow(Hyper2kvmError);
      expect(() => scan(archive.subarray(0, length), 64)).toThrow(Hyper2kvmError);
    }
  });

  it.each(['7fffffff', '80000000', 'ffffff00', 'ffffffff'])(
    'ends where a header claims 0x%s bytes of data',
    (size) => {
      const archive = writeNewc([{ path: 'a', mode: S_IFREG | 0o644, data: Buffer.from('text') }]);
      // The seventh of the fields of 8 hexadecimal digits behind the magic.
      archive.write(size, 6 + 6 * 8, 'latin1');
      for (const read of [() => [...readNewc(archive)], () => scan(archive, 50)])
        expect(read).toThrow(expect.objectContaining({ code: 'guest.cpio-corrupt' }));
    },
  );

  it('survives any damage: entries or guest.cpio-corrupt, nothing else', () => {
    const archive = writeNewc(entries);
    fc.assert(
      fc.property(fc.nat(archive.length - 1), fc.uint8Array({ minLength: 1, maxLength: 16 }), (at, bytes) => {
        const damaged = Buffer.from(archive);
        damaged.set(bytes.subarray(0, damaged.length - at), at);
        for (const read of [() => [...readNewc(damaged)], () => scan(damaged, 50)]) {
          try {
            read();
          } catch (error) {
            if (!(error instanceof Hyper2kvmError) || error.code !== 'guest.cpio-corrupt') throw error;
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});
