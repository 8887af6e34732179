import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import type { Picture, ScreenPatterns } from '../../families/base/boot-patterns.js';
import type { QmpClient } from '../../machine/qmp.js';
import { readPicture } from '../../tools/read-picture.js';
import { parsePixmap, pixmapBytes } from './pixmap.js';
import type { BootRecogniser } from './recogniser.js';

/** A guest that shows one text after the other could keep the reader busy for hours. */
const MAX_READINGS = 20;

/** Looks at a guest's screen: what its pictures show, and the text on those that stand still. */
export class ScreenWatch {
  readonly #patterns: ScreenPatterns;
  readonly #recogniser: BootRecogniser;
  readonly #qmp: Pick<QmpClient, 'execute'>;
  readonly #scratch: string;
  readonly #signal: AbortSignal;
  #previous: { picture: Picture; digest: string } | null = null;
  #read: string | null = null;
  #left = MAX_READINGS;

  constructor(
    patterns: ScreenPatterns,
    {
      recogniser,
      qmp,
      scratch,
      signal,
    }: {
      recogniser: BootRecogniser;
      qmp: Pick<QmpClient, 'execute'>;
      scratch: string;
      signal: AbortSignal;
    },
  ) {
    this.#patterns = patterns;
    this.#recogniser = recogniser;
    this.#qmp = qmp;
    this.#scratch = scratch;
    this.#signal = signal;
  }

  async look(at: () => number): Promise<void> {
    const filename = join(this.#scratch, 'picture.ppm');
    await this.#qmp.execute('screendump', { filename });
    const bytes = await readFile(filename);
    const picture = parsePixmap(bytes);
    if (picture === null) return;
    const digest = createHash('sha256').update(bytes).digest('hex');
    const before = this.#previous;
    this.#previous = { picture, digest };
    this.#recogniser.picture(this.#patterns.see(picture, before?.picture ?? null), at());
    if (before?.digest === digest) await this.#readText(picture, digest, at);
  }

  async #readText(picture: Picture, digest: string, at: () => number): Promise<void> {
    if (digest === this.#read || this.#left === 0) return;
    this.#read = digest;
    const prepared = this.#patterns.text(picture);
    if (prepared === null) return;
    this.#left -= 1;
    const file = join(this.#scratch, 'text.ppm');
    await writeFile(file, pixmapBytes(prepared));
    try {
      const text = await readPicture(file, this.#signal);
      if (text !== null) this.#recogniser.screen(text, at());
    } catch (error) {
      this.#signal.throwIfAborted();
      // A picture that makes the reader fail is one that cannot be read: the picture itself still counts.
      if (!(error instanceof Hyper2kvmError)) throw error;
      this.#left = 0;
    }
  }
}
