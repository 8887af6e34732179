import { join } from 'node:path';
import type { Config } from '../config/schema.js';
import { compressionOf } from '../disk/compression.js';
import { withFile } from '../disk/file-source.js';
import { unpackedEstimate } from '../disk/unpacked-size.js';
import type { EntryState } from '../spool/entry-state.js';
import { isSameFilesystem } from '../spool/publish.js';

/** Scratch, reports and screenshots of a job, whatever its disks' size. */
export const FIXED_BYTES = 64 * 1024 ** 2;

/** How a drop gets into the work directory, and what it becomes there. */
export interface SpaceNeeds {
  /** By rename: it is on the filesystem of the work directory, and takes up its space already. */
  isMoved: boolean;
  /** Full-size copies on its way through the filesystems, the one into the work directory included. */
  copies: number;
  /** What its compressed files take up unpacked. */
  unpackedBytes: number;
}

/** Of the names in `directory` that are to be taken into the work directory. */
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

/** Of the compressed files among `states`, names in `directory`, and directly in directories among them. */
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
    // FETCH refuses hard links; until then nothing is read of what may be somebody else's file.
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
 * What a drop will need beside what it occupies: its used data once more (the output), half as much again for
 * packed sources and metadata, and all of it for each full-size copy. What comes compressed counts unpacked,
 * there and in the output. FLATTEN knows better, but only after the claim.
 */
export function estimateBytes(
  states: readonly EntryState[],
  { copies, unpackedBytes }: Pick<SpaceNeeds, 'copies' | 'unpackedBytes'>,
): number {
  return Math.ceil(allocatedBytes(states) * (1.5 + copies) + unpackedBytes * 2) + FIXED_BYTES;
}

/**
 * What a drop needs for certain: its copy where it is not moved. Whether there is room for its output shows
 * at FLATTEN.
 */
export function leastBytes(states: readonly EntryState[], { isMoved }: Pick<SpaceNeeds, 'isMoved'>): number {
  return (isMoved ? 0 : allocatedBytes(states)) + FIXED_BYTES;
}
