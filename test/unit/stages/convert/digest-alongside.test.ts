import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { digestAlongside } from '../../../../src/stages/convert/digest-alongside.js';

const MIB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), 'h2k-alongside-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('digestAlongside', () => {
  it('has every file of the drop, and no other', async () => {
    writeFileSync(join(directory, 'a.vmdk'), 'content');
    writeFileSync(join(directory, 'other.vmdk'), 'of another drop');
    const source = { directory, entries: ['a.vmdk'] };
    expect(await digestAlongside(source, { fraction: 1 }, new AbortController().signal)).toEqual([
      { path: 'a.vmdk', size: 7, sha256: createHash('sha256').update('content').digest('hex') },
    ]);
  });

  it('waits for the conversion where it would be too far ahead, and ends with its signal', async () => {
    writeFileSync(join(directory, 'large.raw'), '');
    truncateSync(join(directory, 'large.raw'), 300 * MIB);
    const source = { directory, entries: ['large.raw'] };
    const meter = { fraction: 0 };
    const abort = new AbortController();
    let isDone = false;
    const stopped = digestAlongside(source, meter, abort.signal);
    const digested = digestAlongside(source, meter, new AbortController().signal).then((files) => {
      isDone = true;
      return files;
    });
    await sleep(800);
    expect(isDone).toBe(false);
    abort.abort(new Error('cancelled'));
    await expect(stopped).rejects.toThrow();
    meter.fraction = 1;
    const zeros = createHash('sha256');
    const mebibyte = Buffer.alloc(MIB);
    for (let count = 0; count < 300; count++) zeros.update(mebibyte);
    expect(await digested).toEqual([{ path: 'large.raw', size: 300 * MIB, sha256: zeros.digest('hex') }]);
  });
});
