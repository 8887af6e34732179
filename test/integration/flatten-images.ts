import { copyFile, mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { configSchema, type JobOptions, jobOptionsSchema } from '../../src/config/schema.js';
import type { StageContext } from '../../src/engine/stage.js';
import { localSource } from '../../src/sources/local/local-source.js';
import { fetchStage } from '../../src/stages/fetch/index.js';
import type { FetchOutput } from '../../src/stages/fetch/output.js';
import { flattenStage } from '../../src/stages/flatten/index.js';
import type { FlattenOutput } from '../../src/stages/flatten/output.js';
import { run } from '../../src/tools/run.js';

export const MIB = 1024 * 1024;

/** A job's directory with an empty source/, `below` a temporary one that is removed after the test. */
export async function makeJob(...below: string[]): Promise<{ work: string; source: string }> {
  const root = await mkdtemp(join(tmpdir(), 'h2k-flatten-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const work = join(root, ...below);
  const source = join(work, 'source');
  await mkdir(source, { recursive: true });
  return { work, source };
}

export interface Write {
  offset: number;
  length: number;
  pattern: number;
}

/**
 * A raw disk with an MBR of one partition, a text in the boot code and patterns at several places, one of
 * them in the last sector.
 */
export async function makeRaw(path: string, size: number): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.truncate(size);
    const mbr = Buffer.alloc(512);
    mbr.write('boot code of the test disk');
    mbr[446] = 0x80;
    mbr[450] = 0x83;
    mbr.writeUInt32LE(2048, 454);
    mbr.writeUInt32LE(size / 512 - 2048, 458);
    mbr.writeUInt16LE(0xaa55, 510);
    await handle.write(mbr, 0, 512, 0);
    for (let offset = MIB; offset + 3 * 4096 < size; offset += Math.floor(size / 5 / 512) * 512)
      await handle.write(Buffer.alloc(3 * 4096, (offset / 512) % 251), 0, 3 * 4096, offset);
    await handle.write(Buffer.alloc(512, 0x5a), 0, 512, size - 512);
  } finally {
    await handle.close();
  }
}

export async function writeRaw(path: string, writes: readonly Write[]): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    for (const { offset, length, pattern } of writes)
      await handle.write(Buffer.alloc(length, pattern), 0, length, offset);
  } finally {
    await handle.close();
  }
}

/** The same writes into an image, by QEMU. */
export async function writeImage(path: string, format: string, writes: readonly Write[]): Promise<void> {
  const commands = writes.flatMap(({ offset, length, pattern }) => [
    '-c',
    `write -P ${pattern} ${offset} ${length}`,
  ]);
  await run('qemu-io', ['-f', format, ...commands, path]);
}

export const qemuImg = (args: readonly string[], cwd?: string) =>
  run('qemu-img', args, cwd === undefined ? {} : { cwd });

export async function copyOf(path: string, target: string): Promise<string> {
  await copyFile(path, target);
  return target;
}

export function makeContext(
  job: { work: string; source: string },
  entries: readonly string[],
  options: Partial<Pick<JobOptions, 'kind' | 'vm'>> & { flatten?: object; convert?: object } = {},
): StageContext {
  const { flatten = {}, convert = {}, ...rest } = options;
  const config = configSchema.parse({ flatten, convert });
  const source = { directory: job.source, entries: [...entries].sort() };
  return {
    job: { id: 'test', vm: 'web01' },
    options: jobOptionsSchema.parse({ config, ...rest }),
    workDirectory: job.work,
    source,
    openSource() {
      return localSource.open({ drop: source }, this);
    },
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
    progress: () => undefined,
    account: () => undefined,
    reserve: async () => undefined,
    advanced: () => undefined,
    guest: () => Promise.reject(new Error('FETCH and FLATTEN need no guest')),
    closeGuest: async () => undefined,
  };
}

async function fetchOnly(context: StageContext): Promise<FetchOutput> {
  return fetchStage.output.parse(await fetchStage.run(context, {}));
}

/** FLATTEN's disks, each with the files of its layers as FETCH found them, newest first. */
export async function fetchAndFlatten(context: StageContext) {
  const fetch = await fetchOnly(context);
  const flat: FlattenOutput = flattenStage.output.parse(await flattenStage.run(context, { fetch }));
  return {
    disks: flat.disks.map((disk, index) => ({
      ...disk,
      layers: fetch.disks[index]!.chain.layers.map(({ name, format, extents }) => ({
        path: name,
        format,
        files: [name, ...extents.map((extent) => extent.name)],
      })),
    })),
  };
}
