import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import { exists } from '../../files/exists.js';
import type { DropPlace } from '../../model/drop.js';
import { sourceFileSchema } from '../../model/report.js';
import { bytesOf, type Chain, chainSchema, type Layer } from '../../model/storage.js';
import { listSource } from '../../sources/local/list-source.js';
import { canonicalJson } from '../../text/canonical-json.js';

/** In the work directory: the base of a warm job as CONVERT would deliver it, and what it was made from. */
export const WARM_DIRECTORY = 'warm';
/** Written last, so that what it names is whole. */
export const WARM_RECORD = join(WARM_DIRECTORY, 'base.json');

const fileSchema = z.object({
  path: z.string(),
  size: z.int(),
  modified: z.number(),
  changed: z.number(),
  inode: z.int(),
  device: z.int(),
});

const recordSchema = z.object({
  /** `copyOptions` at that time. */
  options: z.json(),
  /** The base's files as they were, and their digests. */
  files: z.array(fileSchema),
  digests: z.array(sourceFileSchema),
  disks: z.array(z.object({ file: z.string(), chain: chainSchema })),
});
export type WarmRecord = z.infer<typeof recordSchema>;

/** A copy of a base disk that the areas which have changed since may be written to. */
export interface BaseCopy {
  /** Path in the work directory. */
  file: string;
  format: string;
  /** How many of the disk's lowest layers are in it. */
  layers: number;
}

/**
 * Whether a delivered disk of this form can be made from a copy of its base: it has to be writable in place, and
 * the layers above the base have to be there.
 */
export function canBeCommitted({ config: { convert, flatten } }: Pick<JobOptions, 'config'>): boolean {
  if (flatten.mode !== 'overlay') return false;
  return convert.format === 'raw' || (convert.format === 'qcow2' && convert.compression === 'none');
}

/** Returns the options that decide what a copy is like. */
export function copyOptions({ config }: Pick<JobOptions, 'config'>): unknown {
  return config.convert;
}

/** Returns what an earlier run left; null without a whole copy of the base. */
async function readRecord(workDirectory: string): Promise<WarmRecord | null> {
  const file = join(workDirectory, WARM_RECORD);
  if (!(await exists(file))) return null;
  const record = recordSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data ?? null;
  for (const disk of record?.disks ?? []) if (!(await exists(join(workDirectory, disk.file)))) return null;
  return record;
}

/**
 * Returns what still counts of the base's copies: made with the same options, from files that are still the ones that
 * were read (device, inode, size, times of modification and of change). Null if that is none of the disks.
 */
export async function unchangedBase(
  workDirectory: string,
  source: DropPlace,
  options: JobOptions,
): Promise<WarmRecord | null> {
  const record = canBeCommitted(options) ? await readRecord(workDirectory) : null;
  if (record === null || canonicalJson(record.options) !== canonicalJson(copyOptions(options))) return null;
  const now = new Map((await listed(source)).map((file) => [file.path, file]));
  const same = new Set(
    record.files
      .filter((file) => canonicalJson(file) === canonicalJson(now.get(file.path) ?? null))
      .map(({ path }) => path),
  );
  const isWhole = same.size === record.files.length;
  // What was unpacked to the work directory may come from any of the files.
  const disks = record.disks.filter(({ chain }) =>
    bytesOf(chain).every(({ place, path }) => (place === 'drop' ? same.has(path) : isWhole)),
  );
  if (disks.length === 0) return null;
  return { ...record, disks, digests: record.digests.filter(({ path }) => same.has(path)) };
}

/** Lists the drop itself, also where a private copy of it is read. */
export function listed({ directory, entries, original }: DropPlace): ReturnType<typeof listSource> {
  return listSource(original ?? directory, entries);
}

/** Returns the copy of the disk whose layers are the lowest ones of `chain`; null if there is none. */
export function copyOf(record: WarmRecord | null, chain: Chain, format: string): BaseCopy | null {
  const top = chain.layers[0]!;
  for (const disk of record?.disks ?? []) {
    const { layers } = disk.chain;
    const lowest = chain.layers.slice(-layers.length);
    if (canonicalJson(lowest.map(identityOf)) !== canonicalJson(layers.map(identityOf))) continue;
    // A disk that has grown since is converted as a whole.
    if (layers[0]!.virtual_size !== top.virtual_size) continue;
    return { file: disk.file, format, layers: layers.length };
  }
  return null;
}

/** A layer without what a filesystem says of it, which may change by itself. */
function identityOf({
  allocated: _allocated,
  used_bytes: _usedBytes,
  ...layer
}: Layer): Omit<Layer, 'allocated' | 'used_bytes'> {
  return layer;
}

/** Returns the bytes on disk that a run before the cutover has written already. */
export async function preparedBytes(workDirectory: string): Promise<number> {
  const record = await readRecord(workDirectory);
  let sum = 0;
  for (const { file } of record?.disks ?? []) sum += (await stat(join(workDirectory, file))).blocks * 512;
  return sum;
}
