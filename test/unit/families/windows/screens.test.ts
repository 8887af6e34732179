import { describe, expect, it } from 'vitest';
import { seeScreen, textOfScreen } from '../../../../src/families/windows/screens.js';
import { BLACK, type Box, paint, ring, textLines, WHITE } from './paint.js';

const NAVY = [0, 0, 128] as const;
const kindOf = (
  ...[picture, previous = null]: [Parameters<typeof seeScreen>[0], Parameters<typeof seeScreen>[1]?]
) => seeScreen(picture, previous)?.kind ?? null;

/** A photograph has no colour that most of it has. */
const PHOTOGRAPH: Box[] = Array.from({ length: 64 * 48 }, (_, index) => ({
  ...{ x: (index % 64) * 10, y: Math.floor(index / 64) * 10, width: 10, height: 10 },
  color: [(index * 7) % 256, (index * 13) % 256, (index * 29) % 256],
}));

describe('a picture of Windows', () => {
  it.each([
    ['7 and older', NAVY],
    ['10 and 11', [0, 120, 215] as const],
    ['8', [16, 113, 176] as const],
  ])('is a blue screen: %s', (_name, color) => {
    expect(kindOf(paint(color, textLines(8)))).toBe('blue');
  });

  it('is none without text, or of another colour', () => {
    expect(kindOf(paint(NAVY))).toBeNull();
    for (const color of [[128, 0, 0], [0, 128, 128], [192, 192, 192], BLACK, [0, 0, 60]] as const)
      expect(kindOf(paint(color, textLines(8)))).toBeNull();
    expect(kindOf(paint(WHITE, textLines(8, NAVY)))).toBeNull();
  });

  it('is the start where a ring turns in the middle of black', () => {
    expect(kindOf(paint(BLACK, ring(1)), paint(BLACK, ring(0)))).toBe('spinner');
    expect(kindOf(paint(BLACK, ring(1)))).toBeNull();
    expect(kindOf(paint(BLACK, ring(1)), paint(BLACK, ring(1)))).toBeNull();
  });

  it('is not the start where a text or a bar appears, a cursor blinks, or lines scroll', () => {
    const logo = { x: 260, y: 150, width: 120, height: 60, color: WHITE } as const;
    const bar = { x: 250, y: 400, width: 140, height: 8, color: WHITE } as const;
    expect(kindOf(paint(BLACK, [logo, bar]), paint(BLACK, [logo]))).toBeNull();
    expect(kindOf(paint(BLACK, [logo]), paint(BLACK, [bar]))).not.toBe('blue');
    const cursor = { x: 8, y: 450, width: 8, height: 2, color: WHITE } as const;
    expect(kindOf(paint(BLACK, [cursor]), paint(BLACK))).toBeNull();
    const moved = textLines(4).map((box) => ({ ...box, y: box.y + 20 }));
    expect(kindOf(paint(BLACK, moved), paint(BLACK, textLines(4)))).toBeNull();
  });

  it('is something that came up where there are many colours, once Windows has started', () => {
    expect(seeScreen(paint(BLACK, PHOTOGRAPH), null)).toMatchObject({ level: 'userspace', after: 'kernel' });
  });

  it('of another size than the one before says nothing of movement', () => {
    expect(kindOf(paint(BLACK, ring(1)), paint(BLACK, [], [800, 600]))).toBeNull();
  });

  it('of no pixels at all is nothing', () => {
    expect(kindOf({ width: 0, height: 0, pixels: Buffer.alloc(0) })).toBeNull();
  });
});

describe('the text of a picture', () => {
  it('is black on white, and larger', () => {
    const prepared = textOfScreen(paint(NAVY, textLines(2)))!;
    expect([prepared.width, prepared.height]).toEqual([1280, 960]);
    expect([...prepared.pixels.subarray(0, 3)]).toEqual([255, 255, 255]);
    const at = (40 * 2 * prepared.width + 40 * 2) * 3;
    expect([...prepared.pixels.subarray(at, at + 3)]).toEqual([0, 0, 0]);
  });

  it('is not looked for where there is none', () => {
    expect(textOfScreen(paint(BLACK))).toBeNull();
    expect(textOfScreen(paint(BLACK, PHOTOGRAPH))).toBeNull();
  });
});
