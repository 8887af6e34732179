import { type FileHandle, open, readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { isErrorCode } from '../../../errors/errno.js';
import { BLOCK_BYTES } from './block-map.js';

const LINE = /^(\d{1,9}) ([0-9a-f]{8})$/;

/**
 * Lists, in a file beside the journal, the blocks that are written but not durable yet, with their checksums. A
 * killed process leaves them in the page cache, so that nothing of them is fetched again. After a power failure
 * the checksum shows which of them have reached the disk.
 */
export class UnsyncedBlocks {
  readonly #file: FileHandle;
  /** Line by block. */
  readonly #lines: Map<number, string>;

  private constructor(file: FileHandle, lines: Map<number, string>) {
    this.#file = file;
    this.#lines = lines;
  }

  /** Opens the list, and drops those blocks from it whose content in `target` is not what was written. */
  static async open(path: string, target: FileHandle, size: number): Promise<UnsyncedBlocks> {
    const lines = new Map<number, string>();
    const buffer = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, size));
    for (const [block, line] of await read(path)) {
      const at = block * BLOCK_BYTES;
      const length = Math.min(BLOCK_BYTES, size - at);
      if (length <= 0) continue;
      const { bytesRead } = await target.read(buffer, 0, length, at);
      const isWritten = bytesRead === length && lineOf(block, buffer.subarray(0, length)) === line;
      if (isWritten) lines.set(block, line);
    }
    const list = new UnsyncedBlocks(await open(path, 'a', 0o600), lines);
    await list.remove([]);
    return list;
  }

  get blocks(): number[] {
    return [...this.#lines.keys()];
  }

  get bytes(): number {
    return this.#lines.size * BLOCK_BYTES;
  }

  /** Adds a block after it was written. */
  async add(block: number, bytes: Buffer): Promise<void> {
    const line = lineOf(block, bytes);
    this.#lines.set(block, line);
    await this.#file.write(`${line}\n`);
  }

  /** Removes blocks that are in the journal now. A kill in between costs what was written since its last line. */
  async remove(blocks: readonly number[]): Promise<void> {
    for (const block of blocks) this.#lines.delete(block);
    await this.#file.truncate(0);
    if (this.#lines.size > 0) await this.#file.write(`${[...this.#lines.values()].join('\n')}\n`);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function lineOf(block: number, bytes: Buffer): string {
  return `${block} ${crc32(bytes).toString(16).padStart(8, '0')}`;
}

/** Returns the last whole line of each block. */
async function read(path: string): Promise<Map<number, string>> {
  const text = await readFile(path, 'latin1').catch((error: unknown) => {
    if (isErrorCode(error, 'ENOENT')) return '';
    throw error;
  });
  const found = new Map<number, string>();
  for (const line of text.split('\n').slice(0, -1)) {
    const match = LINE.exec(line);
    if (match !== null) found.set(Number(match[1]), line);
  }
  return found;
}
