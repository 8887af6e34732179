import type { Picture, ScreenSeen } from '../base/boot-patterns.js';
import { BLUE } from './boot-signatures.js';

/**
 * Understands pictures of Windows' screens by colours and places, which are the same in every language: a
 * stop and the recovery are one blue with text on it, the start is a turning ring of dots (a flag before 8)
 * on black, and what comes after it has many colours. No picture of a real Windows was at hand: the rules are
 * from Microsoft's own descriptions and published pictures.
 */
export function seeScreen(picture: Picture, previous: Picture | null): ScreenSeen | null {
  const facts = factsOf(picture);
  if (facts.share >= PLAIN && isBlue(facts.background) && hasText(facts)) return BLUE_SCREEN;
  if (facts.share >= EMPTY && isBlack(facts.background)) {
    return previous !== null && isTurning(picture, previous) ? SPINNER : null;
  }
  return facts.share < COLOURFUL && facts.colors >= MANY_COLORS ? DESKTOP : null;
}

const BLUE_SCREEN: ScreenSeen = { kind: BLUE, text: 'a blue screen with text', level: 'bootloader' };
const SPINNER: ScreenSeen = {
  kind: 'spinner',
  text: 'something that turns in the middle of a black screen, as Windows’ start does',
  level: 'kernel',
};
const DESKTOP: ScreenSeen = {
  kind: 'colours',
  text: 'a picture of many colours, as of a login screen',
  level: 'userspace',
  after: 'kernel',
};

/** Shares of the most frequent colour. */
const PLAIN = 0.6;
const EMPTY = 0.95;
const COLOURFUL = 0.6;
const MANY_COLORS = 64;
/** Shares of the pixels that stand out against it, where there is text. */
const TEXT_SHARE = { least: 0.001, most: 0.3 };
/** Of two brightnesses that can be told apart. */
const CONTRAST = 64;
/** Every second pixel in both directions is looked at. */
const STEP = 2;

type Color = readonly [red: number, green: number, blue: number];

interface Facts {
  background: Color;
  share: number;
  /** Colours, with 4 bits for each part. */
  colors: number;
  /** Share of what is much brighter or darker than the background. */
  contrast: number;
}

function factsOf(picture: Picture): Facts {
  const counts = new Map<number, number>();
  const colors = new Set<number>();
  let total = 0;
  for (const offset of offsets(picture)) {
    const [red, green, blue] = colorAt(picture, offset);
    const key = (red << 16) | (green << 8) | blue;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    colors.add(((red >> 4) << 8) | ((green >> 4) << 4) | (blue >> 4));
    total += 1;
  }
  let [most, times] = [0, 0];
  for (const [key, count] of counts) if (count > times) [most, times] = [key, count];
  const background: Color = [most >> 16, (most >> 8) & 255, most & 255];
  let standing = 0;
  for (const [key, count] of counts) {
    const color: Color = [key >> 16, (key >> 8) & 255, key & 255];
    if (Math.abs(brightness(color) - brightness(background)) >= CONTRAST) standing += count;
  }
  return {
    background,
    share: total === 0 ? 0 : times / total,
    colors: colors.size,
    contrast: total === 0 ? 0 : standing / total,
  };
}

function* offsets({ width, height }: Picture): Generator<number> {
  for (let y = 0; y < height; y += STEP) for (let x = 0; x < width; x += STEP) yield (y * width + x) * 3;
}

const colorAt = ({ pixels }: Picture, offset: number): Color => [
  pixels[offset]!,
  pixels[offset + 1]!,
  pixels[offset + 2]!,
];
const brightness = ([red, green, blue]: Color) => (red * 2 + green * 5 + blue) / 8;

const isBlack = (color: Color) => Math.max(...color) < 16;
/** From navy (7 and older) to the lighter ones of 8 to 11. */
const isBlue = ([red, green, blue]: Color) => blue >= 96 && blue - red >= 64 && blue - green >= 40;
const hasText = ({ contrast }: Facts) => contrast >= TEXT_SHARE.least && contrast <= TEXT_SHARE.most;

/** Where the start of Windows has its moving part, as shares of width and height. */
const MIDDLE = { left: 0.35, right: 0.65, top: 0.2, bottom: 0.95 };
/** Fewer are a cursor. */
const MOVED_PIXELS = 8;

/**
 * True if things moved between two pictures, in the middle only: what went away there is about as much as
 * what came. A text or a bar that appears only comes.
 */
function isTurning(picture: Picture, previous: Picture): boolean {
  const { width, height } = picture;
  if (previous.width !== width || previous.height !== height) return false;
  let [came, went] = [0, 0];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const offset = (y * width + x) * 3;
      const difference = brightness(colorAt(picture, offset)) - brightness(colorAt(previous, offset));
      if (Math.abs(difference) < CONTRAST) continue;
      if (!isInMiddle(x / width, y / height)) return false;
      if (difference > 0) came += 1;
      else went += 1;
    }
  }
  return Math.min(came, went) >= MOVED_PIXELS && Math.max(came, went) <= 8 * Math.min(came, went);
}

const isInMiddle = (x: number, y: number) =>
  x >= MIDDLE.left && x <= MIDDLE.right && y >= MIDDLE.top && y <= MIDDLE.bottom;

/** A program that reads text wants capital letters of 20 pixels and more; VGA's have 10. */
const SCALE = 2;

/**
 * Returns a screen with one colour behind its text as black on white, and larger; null for any other picture.
 * Between pixels it is smooth: with edges, VGA's digits are taken for other signs. Pure.
 */
export function textOfScreen(picture: Picture): Picture | null {
  const facts = factsOf(picture);
  if (facts.share < PLAIN || !hasText(facts)) return null;
  const shades = shadesOf(picture, brightness(facts.background));
  const [width, height] = [picture.width * SCALE, picture.height * SCALE];
  const pixels = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = (y * width + x) * 3;
      pixels.fill(shadeBetween(shades, picture, x / SCALE, y / SCALE), at, at + 3);
    }
  }
  return { width, height, pixels };
}

/** Black where a pixel stands out most against the background, white where it does not. */
function shadesOf(picture: Picture, background: number): Uint8Array {
  const shades = new Uint8Array(picture.width * picture.height);
  for (let pixel = 0; pixel < shades.length; pixel += 1) {
    const difference = Math.abs(brightness(colorAt(picture, pixel * 3)) - background);
    shades[pixel] = 255 - Math.min(255, difference * 2);
  }
  return shades;
}

function shadeBetween(
  shades: Uint8Array,
  { width, height }: Pick<Picture, 'width' | 'height'>,
  x: number,
  y: number,
): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
  const row = (line: number) =>
    shades[line * width + left]! * (1 - (x - left)) + shades[line * width + right]! * (x - left);
  return Math.round(row(top) * (1 - (y - top)) + row(bottom) * (y - top));
}
