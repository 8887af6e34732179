import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ExpansionBudget } from '../../disk/compression.js';
import type { InventoryOptions } from '../../disk/inventory.js';
import type { StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { syncPath } from '../../files/durable.js';
import { exists } from '../../files/exists.js';
import { usedBytes } from '../../files/space.js';
import { printable } from '../../text/escape-terminal.js';
import { unpackFile } from '../../tools/unpack.js';

const DIRECTORY = 'unpacked';

/**
 * Unpacks compressed disks and archives into the work directory, each once: a copy that is there under its final name is whole. Rejects with `fetch.bomb`,
 * `fetch.truncated`, `fetch.corrupt`.
 */
export function unpacker(context: StageContext): InventoryOptions['unpack'] {
  const { config } = context.options;
  const directory = join(context.workDirectory, DIRECTORY);
  const room = new Room(context);
  return async (file, ordinal) => {
    const target = join(directory, `disk${ordinal}`);
    if (await exists(target)) return target;
    const temporary = `${target}.part`;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await rm(temporary, { force: true });
    const budget = new ExpansionBudget({
      name: file.name,
      packed: file.size,
      maxExpansion: config.fetch.max_expansion,
      maxBytes: config.flatten.max_virtual_size_gib * 1024 ** 3,
    });
    try {
      await unpackFile(
        {
          compression: file.compression,
          source: file.path,
          target: temporary,
          async admit(bytes, isZero) {
            budget.take(bytes, isZero);
            if (!isZero) await room.take(bytes);
          },
          ...(file.region === undefined ? {} : { region: file.region }),
        },
        {
          signal: context.signal,
          onRead: (bytes) =>
            context.progress({ percent: Math.min(99, (100 * bytes) / file.size), step: 'unpacking' }),
        },
      );
    } catch (error) {
      await rm(temporary, { force: true });
      throw named(error, file.name);
    }
    context.account({ read: file.size, written: (await stat(temporary)).blocks * 512 });
    await rename(temporary, target);
    await syncPath(directory);
    return target;
  };
}

const STEP_BYTES = 64 * 1024 ** 2;

/**
 * How large a stream is shows when it has ended: room is asked for in growing steps, for the unpacked data
 * and once more for the output that it becomes.
 */
class Room {
  readonly #reserve: StageContext['reserve'];
  #written = 0;
  #granted = 0;

  constructor({ reserve }: StageContext) {
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

/** What the unpacked disks take up. */
export function unpackedBytes({ workDirectory }: Pick<StageContext, 'workDirectory'>): Promise<number> {
  return usedBytes(join(workDirectory, DIRECTORY));
}

/** FETCH's own scratch: FLATTEN reads from it. */
export async function removeUnpacked(context: StageContext): Promise<void> {
  await rm(join(context.workDirectory, DIRECTORY), { recursive: true, force: true });
}

function named(error: unknown, name: string): unknown {
  if (!(error instanceof Hyper2kvmError) || !/^fetch\.(corrupt|truncated)$/.test(error.code)) return error;
  return Hyper2kvmError.of(error.code, `${printable(name)}: ${error.message}`, {
    advice: error.advice,
    cause: error,
  });
}
