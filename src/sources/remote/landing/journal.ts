import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { isErrorCode } from '../../../errors/errno.js';
import { syncPath } from '../../../files/durable.js';
import type { RemoteFile } from '../transports/base/transport.js';
import { BLOCK_BYTES, type BlockRun } from './block-map.js';

const headerSchema = z.object({
  size: z.int().min(0),
  /** What showed the state of the file on the server; null if nothing did, so that nothing can be resumed. */
  validator: z.string().nullable(),
  block: z.literal(BLOCK_BYTES),
  /** How often it was begun again because the file had changed. */
  restarts: z.int().min(0),
});
export type JournalHeader = z.infer<typeof headerSchema>;

export interface JournalState {
  header: JournalHeader;
  finished: BlockRun[];
  /** Set when every byte is durable under its partial or its final name. */
  sha256: string | null;
}

/** Whether a file on the server is the one that a journal was begun for. */
export function isSameFile(
  header: JournalHeader,
  { size, isEstimate, validator }: Pick<RemoteFile, 'size' | 'isEstimate' | 'validator'>,
): boolean {
  return header.validator === validator && (isEstimate === true || header.size === size);
}

const RUN = /^(\d{1,9})(?:-(\d{1,9}))?$/;
const WHOLE = /^whole ([0-9a-f]{64})$/;

/**
 * Reads a journal; null if there is none or its first line is not whole. A last line without an end was being
 * written when the power failed, and is ignored, as is everything behind a line that cannot be read.
 */
export async function readJournal(path: string): Promise<JournalState | null> {
  const text = await readFile(path, 'latin1').catch((error: unknown) => {
    if (isErrorCode(error, 'ENOENT')) return '';
    throw error;
  });
  const [first, ...lines] = text.split('\n').slice(0, -1);
  const header = headerOf(first);
  if (header === null) return null;
  const state: JournalState = { header, finished: [], sha256: null };
  for (const line of lines) {
    const whole = WHOLE.exec(line);
    if (whole !== null) return { ...state, sha256: whole[1]! };
    const runs = line.split(' ').map(runOf);
    if (runs.includes(null)) return state;
    state.finished.push(...(runs as BlockRun[]));
  }
  return state;
}

function headerOf(line: string | undefined): JournalHeader | null {
  try {
    return headerSchema.safeParse(JSON.parse(line ?? '')).data ?? null;
  } catch {
    return null;
  }
}

function runOf(text: string): BlockRun | null {
  const match = RUN.exec(text);
  if (match === null) return null;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  return last >= first ? { first, end: last + 1 } : null;
}

/** Records what of a file is durable. A line is only written after the data that it names. */
export class Journal {
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Begins a new journal: durable, before anything of the file is landed. */
  static async begin(path: string, header: JournalHeader): Promise<Journal> {
    const file = await open(path, 'w', 0o600);
    await file.write(`${JSON.stringify(header)}\n`);
    await file.sync();
    await syncPath(dirname(path));
    return new Journal(file);
  }

  /** Continues a journal behind its last whole line. */
  static async resume(path: string): Promise<Journal> {
    const text = await readFile(path, 'latin1');
    const file = await open(path, 'r+');
    await file.truncate(text.lastIndexOf('\n') + 1);
    await file.close();
    return new Journal(await open(path, 'a'));
  }

  /** Records blocks: durable when this resolves. */
  async add(blocks: readonly number[]): Promise<void> {
    if (blocks.length === 0) return;
    await this.#file.write(`${runsOf(blocks).map(runText).join(' ')}\n`);
    await this.#file.datasync();
  }

  /** Records that the file is whole: durable when this resolves. */
  async finish(sha256: string): Promise<void> {
    await this.#file.write(`whole ${sha256}\n`);
    await this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function runsOf(blocks: readonly number[]): BlockRun[] {
  const runs: BlockRun[] = [];
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.end === block) last.end += 1;
    else runs.push({ first: block, end: block + 1 });
  }
  return runs;
}

function runText({ first, end }: BlockRun): string {
  return end - first === 1 ? `${first}` : `${first}-${end - 1}`;
}
