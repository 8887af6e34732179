import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../../../../src/sources/remote/landing/block-map.js';
import { Journal, readJournal } from '../../../../../src/sources/remote/landing/journal.js';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-journal-'));
  path = join(directory, 'disk.journal');
});
afterEach(() => rmSync(directory, { recursive: true }));

const header = { size: 10 * BLOCK_BYTES, validator: '"abc"', block: BLOCK_BYTES as 1048576, restarts: 0 };

describe('Journal', () => {
  it('gives back what was added, as runs', async () => {
    const journal = await Journal.begin(path, header);
    await journal.add([3, 1, 2, 7]);
    await journal.add([]);
    await journal.add([9]);
    await journal.close();
    expect(readFileSync(path, 'utf8')).toBe(`${JSON.stringify(header)}\n1-3 7\n9\n`);
    const finished = [
      { first: 1, end: 4 },
      { first: 7, end: 8 },
      { first: 9, end: 10 },
    ];
    expect(await readJournal(path)).toEqual({ header, finished, sha256: null });
  });

  it.each(['4', '4-5', 'whole ab', '4-5 '])('ignores a last line that was not finished: %j', async (rest) => {
    const journal = await Journal.begin(path, header);
    await journal.add([1]);
    await journal.close();
    appendFileSync(path, rest);
    expect((await readJournal(path))?.finished).toEqual([{ first: 1, end: 2 }]);
    const resumed = await Journal.resume(path);
    await resumed.add([2]);
    await resumed.close();
    expect((await readJournal(path))?.finished).toEqual([
      { first: 1, end: 2 },
      { first: 2, end: 3 },
    ]);
  });

  it('believes nothing behind a line that is damaged', async () => {
    writeFileSync(path, `${JSON.stringify(header)}\n1\n\0\0\0\n2\n`);
    expect((await readJournal(path))?.finished).toEqual([{ first: 1, end: 2 }]);
  });

  it.each(['', '{"size":1', '{"size":1}\n', `${JSON.stringify({ ...header, block: 512 })}\n`])(
    'is none without a whole first line: %j',
    async (text) => {
      writeFileSync(path, text);
      expect(await readJournal(path)).toBeNull();
    },
  );

  it('is none where there is no file', async () => {
    expect(await readJournal(join(directory, 'nothing'))).toBeNull();
  });

  it('says that the file is whole', async () => {
    const journal = await Journal.begin(path, header);
    await journal.finish('ab'.repeat(32));
    await journal.close();
    expect((await readJournal(path))?.sha256).toBe('ab'.repeat(32));
  });
});
