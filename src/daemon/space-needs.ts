import { join } from 'node:path';
import type { Config } from '../config/schema.js';
import { compressionOf } from '../disk/compression.js';
import { withFile } from '../disk/file-source.js';
import { unpackedEstimate } from '../disk/unpacked-size.js';
import type { EntryState } from '../spool/entry-state.js';
import { isSameFilesystem } from '../spool/publish.js';

/** Scratch, reports and screenshots of a job, independent of its disks' size. */
export const FIXED_BYTES = 64 * 1024 ** 2;

/** How a drop gets into the work directory, and what happens to it there. */
export interface SpaceNeeds {
  /** By rename: it is on the filesystem of the work directory, and occupies space there already. */
  isMoved: boolean;
  /** Full-size copies on its way through the filesystems, including the one into the work directory. */
  copies: number;
  /** Size of its compressed files when unpacked. */
  unpackedBytes: number;
}

/** Returns the needs of names in `directory` that will be moved or copied to the work directory. */
export async function spaceNeeds(
  states: readonly EntryState[],
  directory: string,
  { spool: { work, archive }, flatten }: Config,
  signal?: AbortSignal,
): Promise<SpaceNeeds> {
  const isMoved = await isSameFilesystem(directory, work);
  const copies = [!isMoved, !(await isSameFilesystem(work, archive)), flatten.mode === 'copy'];
  return {
    isMoved,
    copies: copies.filter(Boolean).length,
    unpackedBytes: await unpackedBytes(states, directory, signal),
  };
}

/**
 * Sums the unpacked size of compressed files among `states`, which are names in `directory`, and of those
 * directly in directories among them.
 */
async function unpackedBytes(
  states: readonly EntryState[],
  directory: string,
  signal?: AbortSignal,
): Promise<number> {
  const files = states.flatMap(({ entry }) =>
    entry.type === 'directory'
      ? (entry.children ?? []).map((child) => ({ ...child, path: join(entry.name, child.name) }))
      : [{ ...entry, path: entry.name }],
  );
  let sum = 0;
  for (const { name, type, path } of files) {
    if (type !== 'file' || compressionOf(name) === null) continue;
    // FETCH refuses hard links; until then, a file that may belong to somebody else is not read.
    sum += await withFile(
      join(directory, path),
      async ({ source, links }) => (links > 1 ? 0 : unpackedEstimate(name, source)),
      signal,
    );
  }
  return sum;
}

export function allocatedBytes(states: readonly EntryState[]): number {
  return states.reduce((sum, state) => sum + Math.max(state.allocatedBytes, 0), 0);
}

/**
 * Estimates what a drop will need beside what it occupies: its used data once more (the output), half as much
 * again for packed sources and metadata, and its full size for each full copy. Compressed files count
 * unpacked, there and in the output. FLATTEN calculates it more precisely, but only after the claim.
 */
export function estimateBytes(
  states: readonly EntryState[],
  { copies, unpackedBytes }: Pick<SpaceNeeds, 'copies' | 'unpackedBytes'>,
): number {
  return Math.ceil(allocatedBytes(states) * (1.5 + copies) + unpackedBytes * 2) + FIXED_BYTES;
}

/**
 * Returns what a drop certainly needs: its copy if it is not moved. FLATTEN checks whether its output fits.
 */
export function leastBytes(states: readonly EntryState[], { isMoved }: Pick<SpaceNeeds, 'isMoved'>): number {
  return (isMoved ? 0 : allocatedBytes(states)) + FIXED_BYTES;
}
