import type { FileHandle } from 'node:fs/promises';
import { BLOCK_BYTES } from './block-map.js';

const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Writes blocks, except zeros where the file has a hole. Each block is written once, when it is whole. */
export class BlockWriter {
  readonly #file: FileHandle;
  /** Whether blocks may have content from an earlier attempt that is not in the journal. */
  readonly #isResumed: boolean;

  constructor(file: FileHandle, isResumed: boolean) {
    this.#file = file;
    this.#isResumed = isResumed;
  }

  async write(block: number, bytes: Buffer): Promise<void> {
    const at = block * BLOCK_BYTES;
    if (isZero(bytes) && (!this.#isResumed || (await this.#isHole(at, bytes.length)))) return;
    for (let done = 0; done < bytes.length; )
      done += (await this.#file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }

  async #isHole(at: number, length: number): Promise<boolean> {
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(length), 0, length, at);
    return bytesRead === length && isZero(buffer);
  }
}

function isZero(bytes: Buffer): boolean {
  return bytes.equals(ZEROS.subarray(0, bytes.length));
}
