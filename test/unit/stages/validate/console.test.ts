import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ConsoleFeed,
  ConsoleLines,
  decodeVgaText,
  MAX_LINE,
} from '../../../../src/stages/validate/console.js';

function feed(...chunks: (string | Buffer)[]): { lines: string[]; tail: string } {
  const console = new ConsoleLines();
  const lines = chunks.flatMap((chunk) => console.push(Buffer.from(chunk as string)));
  return { lines, tail: console.tail };
}

describe('ConsoleLines', () => {
  it('drops colours and carriage returns', () => {
    const text = '[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mbasic.target\x1b[0m.\r\r\n';
    expect(feed(text).lines).toEqual(['[  OK  ] Reached target basic.target.']);
  });

  it('begins a line where the cursor is placed or the screen cleared, as OVMF does', () => {
    expect(feed('\x1b[2J\x1b[01;01HUEFI Interactive Shell v2.2\r\n\x1b[07;01HPress ESC').lines).toEqual([
      'UEFI Interactive Shell v2.2',
    ]);
  });

  it('gives the prompt, which has no line end, as the tail', () => {
    expect(feed('\r\nhost login: ')).toEqual({ lines: [], tail: 'host login:' });
  });

  it('splits at a lone carriage return: progress that overwrites itself', () => {
    expect(feed('A (1s)\rA (2s)\rB').lines).toEqual(['A (1s)', 'A (2s)']);
  });

  it('gives the same lines wherever the text is cut', () => {
    const bytes = Buffer.from(
      'ä\x1b[2J\x1b[01;01Hone\r\n\x1b[0;32mtwo é\x1b[0m\x1b]0;title\x07!\r\r\n\x1b(Bthree\rfour\r\nlogin: ',
    );
    const whole = feed(bytes);
    expect(whole.lines).toEqual(['ä', 'one', 'two é!', 'three', 'four']);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
        expect(feed(...chunks)).toEqual(whole);
      }),
    );
  });

  it('does not show half an escape sequence in the tail', () => {
    expect(feed('login: \x1b[0;3').tail).toBe('login:');
  });

  it('keeps its memory bounded when no line ever ends', () => {
    const console = new ConsoleLines();
    for (let index = 0; index < 64; index++) console.push(Buffer.alloc(65_536, 'x'));
    expect(console.tail.length).toBeLessThanOrEqual(MAX_LINE);
  });

  it('cuts lines, and keeps the end of what has none', () => {
    const long = 'x'.repeat(5000);
    expect(feed(`${long}\n`).lines[0]).toHaveLength(MAX_LINE);
    expect(feed(`${long}host login: `).tail).toMatch(/xhost login:$/);
  });
});

describe('ConsoleFeed', () => {
  it('gives all of a boot, in order, a few KiB a turn', async () => {
    const got: Buffer[] = [];
    const feed = new ConsoleFeed((chunk) => got.push(chunk));
    const text = Buffer.from(Array.from({ length: 20_000 }, (_, index) => `${index}\n`).join(''));
    feed.push(text, 1);
    expect(got).toHaveLength(1);
    while (Buffer.concat(got).length < text.length) await new Promise((resolve) => setImmediate(resolve));
    expect(Buffer.concat(got).equals(text)).toBe(true);
    expect(Math.max(...got.map(({ length }) => length))).toBeLessThanOrEqual(16 * 1024);
  });

  it('leaves out what is more than a burst and so much a second', () => {
    let bytes = 0;
    const feed = new ConsoleFeed((chunk) => {
      bytes += chunk.length;
    });
    for (let index = 0; index < 1000; index += 1) feed.push(Buffer.alloc(16 * 1024), 1);
    expect(bytes).toBeLessThan(5 * 1024 * 1024);
    const before = bytes;
    feed.push(Buffer.alloc(16 * 1024), 3);
    expect(bytes - before).toBe(16 * 1024);
  });
});

/** 32 KiB as the kernel leaves it: blanks with attribute 7, `rows` from `row` on. */
function textMemory(rows: readonly string[], row = 0): Buffer {
  const memory = Buffer.alloc(0x8000);
  for (let cell = 0; cell < memory.length / 2; cell++) memory.writeUInt16LE(0x0720, cell * 2);
  rows.forEach((text, index) => {
    for (let column = 0; column < text.length; column++) {
      memory[((row + index) * 80 + column) * 2] = text.charCodeAt(column);
    }
  });
  return memory;
}

describe('decodeVgaText', () => {
  it('reads the rows', () => {
    expect(decodeVgaText(textMemory(['error: unknown filesystem.', 'grub rescue> ']))).toBe(
      'error: unknown filesystem.\ngrub rescue>',
    );
  });

  it('reads what was scrolled to further down in the memory', () => {
    expect(decodeVgaText(textMemory(['(initramfs) '], 150))).toBe('(initramfs)');
  });

  it('reads a menu with a frame of code page 437', () => {
    expect(
      decodeVgaText(textMemory(['GNU GRUB  version 2.06', '\xda\xc4\xc4\xc4\xbf', '\xb3 x \xb3'])),
    ).toContain('GNU GRUB  version 2.06');
  });

  it.each([
    ['nothing', Buffer.alloc(0x8000)],
    ['unmapped memory', Buffer.alloc(0x8000, 0xff)],
    ['pixels', Buffer.from(Array.from({ length: 0x8000 }, (_, index) => (index * 7919) & 0xff))],
  ])('sees no text in %s', (_, memory) => {
    expect(decodeVgaText(memory)).toBeNull();
  });
});
