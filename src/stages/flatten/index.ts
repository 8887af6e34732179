import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import { assemble, type Chain, chainOf } from '../../disk/chain.js';
import { storedAt } from '../../disk/file-source.js';
import { planGraph } from '../../disk/graph.js';
import { takeInventory } from '../../disk/inventory.js';
import { largestOutput } from '../../disk/output-size.js';
import { eachDisk } from '../../engine/each-disk.js';
import type { Stage, StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { syncPath } from '../../files/durable.js';
import { usedBytes } from '../../files/space.js';
import { WEEK_SECONDS } from '../../host/durations.js';
import { checkWhole } from '../../sources/local/completeness.js';
import { dropPaths } from '../../sources/local/hold-source.js';
import { printable } from '../../text/escape-terminal.js';
import { convertImage } from '../../tools/qemu-img.js';
import { fetchOutput } from '../fetch/output.js';
import { unpackedBytes, unpacker } from '../fetch/unpack.js';
import { buildGraph } from './build.js';
import { type FlattenOutput, flattenOutput } from './output.js';

const flattenInput = z.object({ fetch: fetchOutput });
type FlattenInput = z.infer<typeof flattenInput>;
type FlatDisk = FlattenOutput['disks'][number];

/** Makes one flat disk of each chain: an empty overlay on an explicit block graph (`overlay`), or a physical copy of it (`copy`). */
export const flattenStage: Stage<FlattenInput, FlattenOutput> = {
  name: 'flatten',
  version: 2,
  input: flattenInput,
  output: flattenOutput,
  dependsOn: ({ kind, config }) => ({ kind, ...config.flatten }),
  async run(context, input) {
    await removeScratch(context.workDirectory);
    const { source, options, signal } = context;
    const inventory = await takeInventory(source.directory, source.entries, {
      anyRaw: options.kind === 'data',
      refuseHardLinks: false,
      unpack: unpacker(context),
      signal,
    });
    const assembly = assemble(inventory.images);
    let done = 0;
    const limit = options.config.workers.disks;
    const checked = await eachDisk(input.fetch.disks, { limit, signal }, async (disk, together) => {
      const name = disk.leaf.slice(inventory.prefix.length);
      if (!assembly.layers.has(name)) throw changed(disk.leaf);
      const chain = chainOf(name, assembly, options.config.flatten.max_chain_depth);
      const { directory, prefix } = inventory;
      return checkDisk(context, { ...disk, chain, directory, prefix, signal: together });
    });
    const written = await unpackedBytes(context);
    await context.reserve(written + bytesToWrite(checked, options), { written });
    const disks = await eachDisk(checked, { limit, signal }, async (disk, together) => {
      const flat = await flattenDisk(context, { ...disk, signal: together });
      done += 1;
      context.progress({ percent: (100 * done) / checked.length });
      return flat;
    });
    await syncPath(context.workDirectory);
    return { disks };
  },
  files: ({ disks }) => disks.map(({ image }) => image),
  cleanup: async (context) => removeScratch(context.workDirectory),
};

interface DiskRequest {
  index: number;
  controller: string | null;
  chain: Chain;
  directory: string;
  prefix: string;
  signal: AbortSignal;
}

interface CheckedDisk extends DiskRequest {
  virtualSize: number;
  allocated: number | null;
  usedBytes: number;
}

async function checkDisk(context: StageContext, request: DiskRequest): Promise<CheckedDisk> {
  const { layers } = request.chain;
  const virtualSize = layers[0]!.image.virtualSize;
  refuseTooLarge(request.chain, context);
  const byLayer = await checkWhole(layers, request.directory, request.signal);
  let used = 0;
  for (const [index, layer] of layers.entries()) {
    const files = [layer.file, ...layer.extents].map((file) => usedBytes(storedAt(request.directory, file)));
    used += byLayer[index] ?? (await Promise.all(files)).reduce((sum, bytes) => sum + bytes, 0);
  }
  return {
    ...request,
    virtualSize,
    allocated: total(byLayer, virtualSize),
    usedBytes: Math.min(used, virtualSize),
  };
}

/** What FIX writes into a guest: mostly a new initramfs for each kernel. */
const FIX_BYTES = 256 * 1024 ** 2;

/** Of this stage and of those behind it, at most. */
function bytesToWrite(disks: readonly CheckedDisk[], { kind, config }: JobOptions): number {
  const copies = config.flatten.mode === 'copy' ? disks.reduce((sum, disk) => sum + disk.usedBytes, 0) : 0;
  const outputs = disks.reduce((sum, disk) => sum + largestOutput(disk, config.convert), 0);
  return copies + outputs + (kind === 'vm' ? FIX_BYTES : 0);
}

async function flattenDisk(context: StageContext, request: CheckedDisk): Promise<FlatDisk> {
  const { chain, index, prefix, virtualSize, allocated } = request;
  const name = `flat-disk${index}`;
  const copy = context.options.config.flatten.mode === 'copy';
  const plan = planGraph({
    chain,
    directory: request.directory,
    workDirectory: context.workDirectory,
    prefix: copy ? `${name}.graph` : name,
  });
  context.progress({ percent: 0, step: 'building the block graph' });
  await buildGraph(plan, context.workDirectory, { signal: request.signal, sees: dropPaths(context.source) });
  if (copy) await copyDisk(context, name, virtualSize, request.signal);
  return {
    index,
    image: `${name}.qcow2`,
    format: 'qcow2',
    virtual_size: virtualSize,
    allocated,
    used_bytes: request.usedBytes,
    layers: chain.layers.map(({ file, image, extents }) => ({
      path: prefix + file.name,
      format: image.format,
      files: [file, ...extents].map((part) => prefix + part.name),
    })),
    controller: request.controller,
  };
}

/** What several layers hold overlaps at worst not at all. */
function total(allocated: readonly (number | null)[], virtualSize: number): number | null {
  let sum = 0;
  for (const bytes of allocated) {
    if (bytes === null) return null;
    sum += bytes;
  }
  return Math.min(sum, virtualSize);
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

function refuseTooLarge(chain: Chain, context: StageContext): void {
  const limit = context.options.config.flatten.max_virtual_size_gib;
  const { file, image } = chain.layers.reduce((a, b) => (b.image.virtualSize > a.image.virtualSize ? b : a));
  if (image.virtualSize <= limit * 1024 ** 3) return;
  throw new Hyper2kvmError(
    'flatten.too-large',
    `${printable(file.name)} claims ${Math.ceil(image.virtualSize / 1024 ** 3)} GiB, more than flatten.max_virtual_size_gib (${limit})`,
    { advice: 'If the disk really is that large, raise flatten.max_virtual_size_gib.' },
  );
}

function changed(leaf: string): Hyper2kvmError {
  return new Hyper2kvmError(
    'flatten.source-changed',
    `${printable(leaf)} is no longer the disk that FETCH found`,
    {
      advice: 'Something changed the drop while it was converted: drop it again.',
    },
  );
}

async function scratchNames(workDirectory: string): Promise<string[]> {
  return (await readdir(workDirectory)).filter((name) => /^flat-disk\d+\./.test(name));
}

async function removeScratch(workDirectory: string): Promise<void> {
  for (const name of await scratchNames(workDirectory)) await rm(join(workDirectory, name), { force: true });
}
