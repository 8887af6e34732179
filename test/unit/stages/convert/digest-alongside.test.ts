import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { digestAlongside } from '../../../../src/stages/convert/digest-alongside.js';

const MIB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), 'h2k-alongside-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('digestAlongside', () => {
  const signal = new AbortController().signal;
  const onDeviceRead = () => {};
  const zeros = (mib: number) =>
    createHash('sha256')
      .update(Buffer.alloc(mib * MIB))
      .digest('hex');

  it('has every file of the drop, and no other', async () => {
    writeFileSync(join(directory, 'a.vmdk'), 'content');
    writeFileSync(join(directory, 'other.vmdk'), 'of another drop');
    const source = { directory, entries: ['a.vmdk'] };
    const conversion = { fraction: () => 1, read: () => 0 };
    expect(await digestAlongside(source, conversion, { signal, onDeviceRead })).toEqual([
      { path: 'a.vmdk', size: 7, sha256: createHash('sha256').update('content').digest('hex') },
    ]);
  });

  it('reads at most 16 MiB more than the conversion, whose end it does not need to know', async () => {
    writeFileSync(join(directory, 'full.raw'), Buffer.alloc(80 * MIB));
    const source = { directory, entries: ['full.raw'] };
    let read = MIB;
    let asked = 0;
    const waits = new Promise<void>((resolve) => {
      const conversion = {
        fraction: () => (read > 80 * MIB ? 1 : 0),
        read() {
          asked += 1;
          // Nothing else goes on when it has waited so often.
          if (asked === 10) resolve();
          return read;
        },
      };
      void digestAlongside(source, conversion, { signal, onDeviceRead }).then(([file]) => done(file));
    });
    let done: (file: unknown) => void = () => {};
    let isDone = false;
    const digested = new Promise((resolve) => {
      done = (file) => {
        isDone = true;
        resolve(file);
      };
    });
    await waits;
    expect(isDone).toBe(false);
    read = 81 * MIB;
    expect(await digested).toEqual({ path: 'full.raw', size: 80 * MIB, sha256: zeros(80) });
  });

  it('goes by the part that is converted where it is not known what was read, and ends with its signal', async () => {
    writeFileSync(join(directory, 'large.raw'), '');
    truncateSync(join(directory, 'large.raw'), 100 * MIB);
    const source = { directory, entries: ['large.raw'] };
    const abort = new AbortController();
    const waiting = digestAlongside(
      source,
      { fraction: () => 0, read: () => 0 },
      { signal: abort.signal, onDeviceRead },
    );
    abort.abort(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    const [file] = await digestAlongside(
      source,
      { fraction: () => 1, read: () => 0 },
      { signal, onDeviceRead },
    );
    expect(file).toEqual({ path: 'large.raw', size: 100 * MIB, sha256: zeros(100) });
  });
});
