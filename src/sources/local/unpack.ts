import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DropFile } from '../../disk/assemble.js';
import { type Compression, ExpansionBudget } from '../../disk/compression.js';
import { type Places, pathOf } from '../../disk/file-source.js';
import { inFile } from '../../disk/read-image.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { syncPath } from '../../files/durable.js';
import { usedBytes } from '../../files/space.js';
import type { FileBytes } from '../../model/storage.js';
import { canonicalJson, sha256 } from '../../text/canonical-json.js';
import { type StreamFrame, type UnpackOptions, unpackFile } from '../../tools/unpack.js';
import type { SourceContext } from '../base/source.js';

const DIRECTORY = 'unpacked';

interface WriteRequest {
  compression: Compression['name'];
  packed: string;
  target: string;
  frame: StreamFrame | undefined;
}

/** A file that is made from others of the drop. */
export interface MadeFile {
  /** For messages. */
  name: string;
  from: readonly DropFile[];
  /** Bytes. */
  size: number;
  fill(put: (block: Buffer, at: number) => Promise<void>): Promise<void>;
}

/** Creates a file of a container, and returns what puts its blocks where they belong; all else is zeros. */
export type CreateFile = (
  name: string,
  size: number,
) => Promise<(block: Buffer, at: number) => Promise<void>>;

/** An unpacked copy of a compressed file, in the work directory. */
export interface UnpackedFile {
  bytes: FileBytes;
  size: number;
}

/**
 * Unpacks compressed disks and archives into the work directory, each once: a copy with its final name is
 * complete, and the name identifies the exact file that it was made from.
 */
export class Unpacker {
  readonly #context: SourceContext;
  readonly #directory: string;
  readonly #room: Room;
  readonly #used = new Set<string>();

  constructor(context: SourceContext) {
    this.#context = context;
    this.#directory = join(context.workDirectory, DIRECTORY);
    this.#room = new Room(context);
  }

  /** Rejects with `fetch.bomb`, `fetch.truncated`, `fetch.corrupt`. */
  async unpack(
    file: DropFile,
    compression: Compression['name'],
    places: Places,
    frame?: StreamFrame,
  ): Promise<UnpackedFile> {
    const packed = pathOf(file.bytes, places);
    const name = await nameFor(file.bytes, packed);
    const target = join(this.#directory, name);
    this.#used.add(name);
    const there = await sizeOf(target);
    const size = there ?? (await this.#write(file, { compression, packed, target, frame }));
    return { bytes: { type: 'file', place: 'work', path: `${DIRECTORY}/${name}` }, size };
  }

  /**
   * Makes a file anew from files of the drop: `fill` puts its blocks where they belong, and what it leaves out
   * is zeros. Rejects with `fetch.bomb`.
   */
  async make({ name, from, size, fill }: MadeFile, places: Places): Promise<UnpackedFile> {
    const names = await Promise.all(from.map(({ bytes }) => nameFor(bytes, pathOf(bytes, places))));
    const own = sha256(canonicalJson([names, size])).slice(0, 32);
    const target = join(this.#directory, own);
    this.#used.add(own);
    if ((await sizeOf(target)) === null) {
      const stored = await Promise.all(from.map(({ bytes }) => usedBytes(pathOf(bytes, places))));
      const packed = Math.min(
        from.reduce((sum, file) => sum + file.size, 0),
        stored.reduce((sum, bytes) => sum + bytes, 0),
      );
      await this.#fill({ name, from, size, fill }, { packed, target });
    }
    return { bytes: { type: 'file', place: 'work', path: `${DIRECTORY}/${own}` }, size };
  }

  async #fill(
    { name, size, fill }: MadeFile,
    { packed, target }: { packed: number; target: string },
  ): Promise<void> {
    const { signal, progress, account } = this.#context;
    const temporary = `${target}.part`;
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await rm(temporary, { force: true });
    const budget = this.#budgetFor(name, packed);
    budget.admitSize(size);
    const output = await open(temporary, 'wx', 0o600);
    let read = 0;
    try {
      await fill(async (block, at) => {
        signal.throwIfAborted();
        read += block.length;
        await this.#put(output, budget, block, at);
        progress({ percent: Math.min(99, (100 * at) / size), step: 'putting the disk together' });
      });
      await output.truncate(size);
      await output.sync();
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    } finally {
      await output.close();
    }
    account({ read, written: (await stat(temporary)).blocks * 512 });
    await rename(temporary, target);
    await syncPath(this.#directory);
  }

  /**
   * Takes a container of disks apart in one pass: `fill` reads it and creates what is in it. Rejects with
   * `fetch.bomb`.
   */
  async expand(
    file: DropFile,
    places: Places,
    fill: (create: CreateFile, options: UnpackOptions & { onRead(bytes: number): void }) => Promise<void>,
  ): Promise<DropFile[]> {
    const own = await nameFor(file.bytes, pathOf(file.bytes, places));
    const target = join(this.#directory, own);
    this.#used.add(own);
    if ((await namesIn(target)).length === 0) await this.#expand(file, target, fill);
    return Promise.all(
      (await namesIn(target)).sort().map(async (name): Promise<DropFile> => {
        const path = `${DIRECTORY}/${own}/${name}`;
        const { size } = await stat(join(target, name));
        return { name, size, bytes: { type: 'file', place: 'work', path } };
      }),
    );
  }

  async #expand(
    file: DropFile,
    target: string,
    fill: (create: CreateFile, options: UnpackOptions & { onRead(bytes: number): void }) => Promise<void>,
  ): Promise<void> {
    const { signal, progress, account } = this.#context;
    const temporary = `${target}.part`;
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary, { recursive: true, mode: 0o700 });
    const budget = this.#budgetFor(file.name, file.size);
    const outputs: { handle: FileHandle; size: number }[] = [];
    let sizes = 0;
    try {
      await fill(
        async (name, size) => {
          sizes += size;
          budget.admitSize(sizes);
          const handle = await open(join(temporary, name), 'wx', 0o600);
          outputs.push({ handle, size });
          return async (block, at) => {
            signal.throwIfAborted();
            await this.#put(handle, budget, block, at);
          };
        },
        {
          signal,
          onRead: (bytes) =>
            progress({ percent: Math.min(99, (100 * bytes) / file.size), step: 'unpacking' }),
        },
      );
      for (const { handle, size } of outputs) {
        await handle.truncate(size);
        await handle.sync();
      }
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error instanceof Hyper2kvmError && OF_THE_FILE.has(error.code) ? inFile(file.name, error) : error;
    } finally {
      for (const { handle } of outputs) await handle.close();
    }
    let written = 0;
    for (const name of await namesIn(temporary)) written += (await stat(join(temporary, name))).blocks * 512;
    account({ read: file.size, written });
    await syncPath(temporary);
    await rename(temporary, target);
    await syncPath(this.#directory);
  }

  /** Writes a block that is not zeros, if the budget and the space allow. */
  async #put(output: FileHandle, budget: ExpansionBudget, block: Buffer, at: number): Promise<void> {
    const isZero = block.every((byte) => byte === 0);
    budget.take(block.length, isZero);
    if (isZero) return;
    await this.#room.take(block.length);
    await writeAll(output, block, at);
  }

  #budgetFor(name: string, packed: number): ExpansionBudget {
    const { config } = this.#context.options;
    const maxBytes = config.flatten.max_virtual_size_gib * 1024 ** 3;
    return new ExpansionBudget({ name, packed, maxExpansion: config.fetch.max_expansion, maxBytes });
  }

  /** Removes a copy that is needed no more. */
  async forget({ bytes }: DropFile): Promise<void> {
    this.#used.delete(basename(bytes.path));
    await rm(join(this.#context.workDirectory, bytes.path), { force: true });
  }

  /** Removes what an earlier try unpacked of other files. */
  async removeOthers(): Promise<void> {
    for (const name of await namesIn(this.#directory))
      if (!this.#used.has(name)) await rm(join(this.#directory, name), { recursive: true, force: true });
  }

  async removeAll(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #write(file: DropFile, { compression, packed, target, frame }: WriteRequest): Promise<number> {
    const { signal, progress, account } = this.#context;
    const temporary = `${target}.part`;
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await rm(temporary, { force: true });
    const budget = this.#budgetFor(file.name, file.size);
    const room = this.#room;
    const { region } = file.bytes;
    try {
      await unpackFile(
        {
          compression,
          source: packed,
          target: temporary,
          async admit(bytes, isZero) {
            budget.take(bytes, isZero);
            if (!isZero) await room.take(bytes);
          },
          ...(region === undefined ? {} : { region }),
          ...(frame === undefined ? {} : { frame }),
        },
        {
          signal,
          onRead: (bytes) =>
            progress({ percent: Math.min(99, (100 * bytes) / file.size), step: 'unpacking' }),
        },
      );
    } catch (error) {
      await rm(temporary, { force: true });
      throw error instanceof Hyper2kvmError && OF_THE_FILE.has(error.code) ? inFile(file.name, error) : error;
    }
    const { blocks, size } = await stat(temporary);
    account({ read: file.size, written: blocks * 512 });
    await rename(temporary, target);
    await syncPath(this.#directory);
    return size;
  }
}

const OF_THE_FILE = new Set(['fetch.corrupt', 'fetch.truncated']);
const STEP_BYTES = 64 * 1024 ** 2;

/**
 * Reserves space for a stream whose size is known only at its end, in growing steps: once for the unpacked
 * data and once for the output made from it.
 */
class Room {
  readonly #reserve: SourceContext['reserve'];
  #written = 0;
  #granted = 0;

  constructor({ reserve }: SourceContext) {
    this.#reserve = reserve;
  }

  async take(bytes: number): Promise<void> {
    const needed = this.#written + bytes;
    if (needed > this.#granted) {
      const granted = needed + Math.max(STEP_BYTES, Math.ceil(needed / 8));
      await this.#reserve(2 * granted, { written: this.#written, atLeast: true });
      this.#granted = granted;
    }
    this.#written = needed;
  }
}

/** Derives the name from the inode's change time among others, which a file's owner cannot set back. */
async function nameFor({ region }: FileBytes, packed: string): Promise<string> {
  const { size, mtimeMs, ctimeMs, ino } = await stat(packed);
  return sha256(canonicalJson([basename(packed), region ?? null, size, mtimeMs, ctimeMs, ino])).slice(0, 32);
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

async function writeAll(file: FileHandle, block: Buffer, at: number): Promise<void> {
  for (let done = 0; done < block.length; ) {
    const { bytesWritten } = await file.write(block, done, block.length - done, at + done);
    done += bytesWritten;
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
