import type { Picture } from '../../../../src/families/base/boot-patterns.js';

type Color = readonly [red: number, green: number, blue: number];
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
  color: Color;
}

/** A picture of one colour with boxes on it. */
export function paint(background: Color, boxes: readonly Box[] = [], [width, height] = [640, 480]): Picture {
  const pixels = Buffer.alloc(width! * height! * 3);
  const fill = ({ x, y, width: wide, height: high, color }: Box) => {
    for (let row = y; row < y + high; row += 1)
      for (let column = x; column < x + wide; column += 1) pixels.set(color, (row * width! + column) * 3);
  };
  fill({ x: 0, y: 0, width: width!, height: height!, color: background });
  boxes.forEach(fill);
  return { width: width!, height: height!, pixels };
}

export const WHITE: Color = [255, 255, 255];
export const BLACK: Color = [0, 0, 0];

/** Lines of text, as far as colours tell: every second column of a line is set. */
export function textLines(count: number, color: Color = WHITE): Box[] {
  return Array.from({ length: count }, (_, line) =>
    Array.from({ length: 60 }, (_, column) => ({
      ...{ x: 40 + column * 8, y: 40 + line * 20, width: 3, height: 10 },
      color,
    })),
  ).flat();
}

/** The ring of dots below the middle, `turn` eighths further. */
export function ring(turn: number): Box[] {
  return Array.from({ length: 5 }, (_, dot) => {
    const angle = ((dot + turn) * Math.PI) / 4 + dot * 0.2;
    return {
      ...{ x: Math.round(318 + 24 * Math.cos(angle)), y: Math.round(340 + 24 * Math.sin(angle)) },
      ...{ width: 5, height: 5, color: WHITE },
    };
  });
}
