import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import { type Places, pathOf } from '../../disk/file-source.js';
import { planGraph } from '../../disk/graph.js';
import { largestOutput } from '../../disk/output-size.js';
import { SECTOR_SIZE_BLOCKS, sectorSize } from '../../disk/sector-size.js';
import type { Stage, StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { syncPath } from '../../files/durable.js';
import { usedBytes } from '../../files/space.js';
import { WEEK_SECONDS } from '../../host/durations.js';
import { eachDisk } from '../../host/each-disk.js';
import { bytesOf, type Chain } from '../../model/storage.js';
import { dropPaths } from '../../sources/local/hold-source.js';
import { printable } from '../../text/escape-terminal.js';
import { convertImage, copyHead } from '../../tools/qemu-img.js';
import { type FetchOutput, fetchOutput } from '../fetch/output.js';
import { preparedBytes } from '../warm/base-copy.js';
import { buildGraph } from './build.js';
import { type FlattenOutput, flattenOutput } from './output.js';

const flattenInput = z.object({ fetch: fetchOutput });
type FlattenInput = z.infer<typeof flattenInput>;
type FetchedDisk = FetchOutput['disks'][number];
type FlatDisk = FlattenOutput['disks'][number];

/**
 * Makes one flat disk of each chain: an empty overlay on an explicit block graph (`overlay`), or a physical
 * copy of it (`copy`). FETCH has read the chain's headers and tables, and nobody has changed its files since,
 * so only QEMU opens them.
 */
export const flattenStage: Stage<FlattenInput, FlattenOutput> = {
  name: 'flatten',
  version: 4,
  input: flattenInput,
  output: flattenOutput,
  dependsOn: ({ kind, config }) => ({ kind, ...config.flatten }),
  async run(context, input) {
    await removeScratch(context.workDirectory);
    const { options, signal } = context;
    for (const { chain } of input.fetch.disks) refuseTooLarge(chain, options);
    const sizes = input.fetch.disks.map(({ chain }) => sizesOf(chain));
    const written = await landedBytes(input.fetch.disks, placesOf(context));
    const prepared = await preparedBytes(context.workDirectory);
    await context.reserve(written + bytesToWrite(sizes, options), { written: written + prepared });
    let done = 0;
    const limit = options.config.workers.disks;
    const disks = await eachDisk(input.fetch.disks, { limit, signal }, async (disk, together) => {
      const flat = await flattenDisk(context, disk, together);
      done += 1;
      context.progress({ percent: (100 * done) / input.fetch.disks.length });
      return flat;
    });
    await syncPath(context.workDirectory);
    return { disks };
  },
  files: ({ disks }) => disks.map(({ image }) => image),
  cleanup: async (context) => removeScratch(context.workDirectory),
};

interface DiskSizes {
  virtualSize: number;
  allocated: number | null;
  usedBytes: number;
}

/** Upper bounds, which assume that the layers' data do not overlap. */
function sizesOf({ layers }: Chain): DiskSizes {
  const virtualSize = layers[0]!.virtual_size;
  const allocated = layers.map((layer) => layer.allocated);
  const sum = (bytes: readonly (number | null)[]) =>
    Math.min(
      virtualSize,
      bytes.reduce<number>((all, one) => all + (one ?? 0), 0),
    );
  return {
    virtualSize,
    allocated: allocated.includes(null) ? null : sum(allocated),
    usedBytes: sum(layers.map((layer) => layer.used_bytes)),
  };
}

function placesOf({ source, workDirectory }: StageContext): Places {
  return { drop: source.directory, work: workDirectory };
}

/** Returns the space used by files that the source has put into the work directory. */
async function landedBytes(disks: readonly FetchedDisk[], places: Places): Promise<number> {
  const landed = new Set(
    disks
      .flatMap(({ chain }) => bytesOf(chain))
      .flatMap((bytes) => (bytes.place === 'work' ? [pathOf(bytes, places)] : [])),
  );
  const sizes = await Promise.all([...landed].map((path) => usedBytes(path)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** What FIX writes into a guest: mostly a new initramfs for each kernel. */
const FIX_BYTES = 256 * 1024 ** 2;

/** Returns the most bytes that this stage and the later ones write. */
function bytesToWrite(disks: readonly DiskSizes[], { kind, config }: JobOptions): number {
  const copies = config.flatten.mode === 'copy' ? disks.reduce((sum, disk) => sum + disk.usedBytes, 0) : 0;
  const outputs = disks.reduce((sum, disk) => sum + largestOutput(disk, config.convert), 0);
  return copies + outputs + (kind === 'vm' ? FIX_BYTES : 0);
}

async function flattenDisk(
  context: StageContext,
  { index, controller, chain }: FetchedDisk,
  signal: AbortSignal,
): Promise<FlatDisk> {
  const name = `flat-disk${index}`;
  const { virtualSize, allocated, usedBytes } = sizesOf(chain);
  const copy = context.options.config.flatten.mode === 'copy';
  const prefix = copy ? `${name}.graph` : name;
  const plan = planGraph({ chain, places: placesOf(context), prefix });
  context.progress({ percent: 0, step: 'building the block graph' });
  await buildGraph(plan, context.workDirectory, { signal, sees: dropPaths(context.source) });
  if (copy) await copyDisk(context, name, virtualSize, signal);
  return {
    index,
    sector_size: chain.layers[0]!.sector_size ?? (await sectorSizeOf(context, name, signal)),
    image: `${name}.qcow2`,
    format: 'qcow2',
    virtual_size: virtualSize,
    allocated,
    used_bytes: usedBytes,
    controller,
  };
}

/** As its partition table has it: a disk of 4096-byte sectors (4Kn) works with no others. */
async function sectorSizeOf(context: StageContext, name: string, signal: AbortSignal): Promise<512 | 4096> {
  const { workDirectory, source } = context;
  const target = join(workDirectory, `${name}.head`);
  const image = { file: join(workDirectory, `${name}.qcow2`), format: 'qcow2' };
  await copyHead(
    { ...image, blocks: SECTOR_SIZE_BLOCKS, target },
    { signal, timeoutSeconds: 60, sees: dropPaths(source) },
  );
  const head = await readFile(target);
  await rm(target);
  return sectorSize(head);
}

async function copyDisk(
  context: StageContext,
  name: string,
  virtualSize: number,
  signal: AbortSignal,
): Promise<void> {
  const { workDirectory } = context;
  const overlay = join(workDirectory, `${name}.graph.qcow2`);
  const temporary = join(workDirectory, `${name}.part`);
  const started = performance.now();
  await convertImage(
    { source: overlay, sourceFormat: 'qcow2', target: temporary, targetFormat: 'qcow2' },
    {
      signal,
      timeoutSeconds: WEEK_SECONDS,
      sees: dropPaths(context.source),
      onPercent: (percent) => {
        const seconds = (performance.now() - started) / 1000;
        const bytesPerSecond = seconds > 0.2 ? ((percent / 100) * virtualSize) / seconds : 0;
        context.progress({ percent, step: 'copying', ...(bytesPerSecond > 0 ? { bytesPerSecond } : {}) });
      },
    },
  );
  const bytes = (await stat(temporary)).blocks * 512;
  context.account({ read: bytes, written: bytes });
  await syncPath(temporary);
  await rename(temporary, join(workDirectory, `${name}.qcow2`));
  for (const file of await scratchNames(workDirectory)) {
    if (file.startsWith(`${name}.graph`)) await rm(join(workDirectory, file));
  }
}

function refuseTooLarge({ layers }: Chain, { config }: JobOptions): void {
  const limit = config.flatten.max_virtual_size_gib;
  const largest = layers.reduce((a, b) => (b.virtual_size > a.virtual_size ? b : a));
  if (largest.virtual_size <= limit * 1024 ** 3) return;
  throw new Hyper2kvmError(
    'flatten.too-large',
    `${printable(largest.name)} claims ${Math.ceil(largest.virtual_size / 1024 ** 3)} GiB, more than flatten.max_virtual_size_gib (${limit})`,
  );
}

async function scratchNames(workDirectory: string): Promise<string[]> {
  return (await readdir(workDirectory)).filter((name) => /^flat-disk\d+\./.test(name));
}

async function removeScratch(workDirectory: string): Promise<void> {
  for (const name of await scratchNames(workDirectory)) await rm(join(workDirectory, name), { force: true });
}
