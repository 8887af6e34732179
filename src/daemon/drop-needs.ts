import { join } from 'node:path';
import { jobOptions } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { compressionOf } from '../disk/compression.js';
import { withFile } from '../disk/file-source.js';
import { unpackedEstimate } from '../disk/unpacked-size.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import type { Drop } from '../model/drop.js';
import type { Look } from '../spool/entry-state.js';
import { readOptionsFile } from '../spool/options-file.js';
import { isSameFilesystem } from '../spool/publish.js';
import type { SpaceNeeds } from './admission.js';

/** What has to be known of a drop before it is claimed. */
export interface Appraisal extends SpaceNeeds {
  /** Of its job.toml, else of its own name. */
  vm: string;
  /** Why it will fail without being opened. */
  refused: ErrorRecord | null;
}

const NOTHING = { isMoved: true, copies: 0, unpackedBytes: 0 };

/** Reads the drop's job.toml. What is wrong with it is the drop's failure, not the daemon's. */
export async function appraise(
  drop: Drop,
  looks: readonly Look[],
  config: Config,
  signal: AbortSignal,
): Promise<Appraisal> {
  const { incoming } = config.spool;
  if (drop.refused !== null) return { ...NOTHING, vm: drop.vm, refused: drop.refused };
  try {
    const text = await readOptionsFile(incoming, drop.options);
    const options = jobOptions(config, text, { file: drop.options ?? 'job.toml' });
    const needs = await spaceNeeds(looks, incoming, options.config, signal);
    return { vm: options.vm.name ?? drop.vm, refused: null, ...needs };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Hyper2kvmError)) throw error;
    return { ...NOTHING, vm: drop.vm, refused: errorRecord(error) };
  }
}

/** Of `looks`, names in `directory`, that are to be taken into the work directory. */
export async function spaceNeeds(
  looks: readonly Look[],
  directory: string,
  { spool: { work, archive }, flatten }: Config,
  signal?: AbortSignal,
): Promise<SpaceNeeds> {
  const isMoved = await isSameFilesystem(directory, work);
  // Full-size ones that its way through the filesystems costs.
  const copies = [!isMoved, !(await isSameFilesystem(work, archive)), flatten.mode === 'copy'];
  return {
    isMoved,
    copies: copies.filter(Boolean).length,
    unpackedBytes: await unpackedBytes(looks, directory, signal),
  };
}

/** Of the compressed files among `looks`, names in `directory`, and directly in directories among them. */
async function unpackedBytes(
  looks: readonly Look[],
  directory: string,
  signal?: AbortSignal,
): Promise<number> {
  const files = looks.flatMap(({ entry }) =>
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
