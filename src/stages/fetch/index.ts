import { relative, sep } from 'node:path';
import { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import { siblingName } from '../../disk/base/names.js';
import { type Assembly, assemble, chainOf, leavesOf } from '../../disk/chain.js';
import { innerName, refuseHoles } from '../../disk/compression.js';
import { type Inventory, takeInventory } from '../../disk/inventory.js';
import { BLANK } from '../../disk/read-image.js';
import { eachDisk } from '../../engine/each-disk.js';
import type { Stage, StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { Description } from '../../model/description.js';
import type { Hardware } from '../../model/hardware.js';
import { checkWhole } from '../../sources/local/completeness.js';
import { printable } from '../../text/escape-terminal.js';
import { type FoundDescription, readDescription, readFrozen, verifyManifest } from './description.js';
import { type FetchOutput, fetchOutput } from './output.js';
import { removeUnpacked, unpacker } from './unpack.js';

const fetchInput = z.object({});

/** Looks at what was dropped, decides which files are the VM's disks and in which order, and refuses what is not safe or not whole. Reads only. */
export const fetchStage: Stage<z.infer<typeof fetchInput>, FetchOutput> = {
  name: 'fetch',
  version: 2,
  input: fetchInput,
  output: fetchOutput,
  dependsOn: ({ kind, vm, config }) => ({ kind, vm, depth: config.flatten.max_chain_depth }),
  async run(context) {
    const { source, options, signal } = context;
    context.progress({ percent: 0, step: 'reading headers' });
    const inventory = await takeInventory(source.directory, source.entries, {
      anyRaw: options.kind === 'data',
      refuseHardLinks: isInside(source.directory, context.workDirectory),
      unpack: unpacker(context),
      signal,
    });
    const description = await readDescription(inventory);
    const assembly = assemble(inventory.images);
    const described = description !== null && description.disks.length > 0;
    const disks = described
      ? describedDisks(description, assembly)
      : newestImages(assembly, await readFrozen(inventory));
    refuseNoDisk(disks, assembly, inventory, options);
    context.progress({ percent: 30, step: 'checking that every file is whole' });
    const { max_expansion } = options.config.fetch;
    refuseHoles('the drop', inventory.holes, inventory.data, max_expansion);
    await eachDisk(disks, { limit: options.config.workers.disks, signal }, async ({ name }, together) => {
      const { layers } = chainOf(name, assembly, options.config.flatten.max_chain_depth);
      const allocated = await checkWhole(layers, inventory.directory, together);
      if (options.config.convert.format !== 'raw' || allocated.includes(null)) return;
      // Of a raw disk that is delivered all zeros are hashed.
      const data = allocated.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
      const holes = Math.max(0, layers[0]!.image.virtualSize - data);
      refuseHoles(`${printable(name)} as a raw disk`, holes, data, max_expansion);
    });
    await verifyManifest(inventory, context);
    context.log.info({ disks: disks.length, files: inventory.files.length }, 'drop understood');
    return {
      files: inventory.files,
      disks: disks.map(({ name, controller }, index) => ({
        index,
        leaf: `${inventory.prefix}${name}`,
        format: assembly.layers.get(name)!.image.format,
        controller,
      })),
      hardware: hardwareOf(description, context),
      unpacked: [...new Set(inventory.images.flatMap(({ unpacked }) => unpacked ?? []))].map((path) =>
        relative(context.workDirectory, path),
      ),
    };
  },
  files: ({ unpacked }) => unpacked,
  cleanup: removeUnpacked,
};

interface FoundDisk {
  name: string;
  controller: string | null;
}

/** An older state would convert without a complaint, and nobody would know: so it is refused. */
function newestImages(assembly: Assembly, frozen: readonly string[]): FoundDisk[] {
  return leavesOf(assembly).map((name) => {
    if (!frozen.includes(name)) return { name, controller: null };
    throw new Hyper2kvmError(
      'fetch.missing-delta',
      `${printable(name)} was frozen by a snapshot (the .vmsd says so), and the delta with what came after is not in the drop`,
      {
        advice:
          'Copy the deltas (-000001.vmdk, …) into the drop. To convert the state of the snapshot on purpose, leave the .vmsd out.',
      },
    );
  });
}

/** A .vmx knows which state of each disk is in use: not always the newest one, after going back to a snapshot. */
function describedDisks(description: FoundDescription, assembly: Assembly): FoundDisk[] {
  return description.disks.map(({ controller, file }) => {
    const name = innerName(siblingName(file, 'exact', description.file));
    if (assembly.layers.has(name)) return { name, controller };
    const error = assembly.files.get(name)?.error;
    if (error) throw error;
    throw new Hyper2kvmError(
      'fetch.missing-disk',
      `${printable(description.file)} has ${printable(name)}${controller === null ? '' : ` at ${controller}`}, which is not in the drop`,
      { advice: 'Copy all disks of the VM into the drop, or take the disk out of the description.' },
    );
  });
}

function refuseNoDisk(
  disks: readonly FoundDisk[],
  assembly: Assembly,
  inventory: Inventory,
  options: JobOptions,
): void {
  const unnamed = inventory.images.find((image) => image.error !== null && !assembly.pieces.has(image.name));
  if (disks.length === 0 && unnamed?.error) throw unnamed.error;
  if (disks.length === 0) {
    const names = inventory.files.slice(0, 5).map(({ path }) => printable(path));
    throw new Hyper2kvmError(
      'fetch.no-disk',
      `no disk image in the drop (${names.join(', ')}${inventory.files.length > 5 ? ', …' : ''})`,
      {
        advice:
          'Put the disk’s files directly into the dropped directory, with their usual endings (.vmdk, .qcow2, .img).',
      },
    );
  }
  const blank = disks.every(({ name }) => assembly.layers.get(name)!.image.variant === BLANK);
  if (blank && options.kind === 'vm') {
    throw new Hyper2kvmError(
      'fetch.unknown-format',
      `${printable(disks[0]!.name)} starts with zeros: no partition table, no filesystem`,
      {
        advice: 'If it is meant to be an empty data disk, put kind = "data" into its job.toml.',
      },
    );
  }
}

/** What job.toml says counts more than the VM's own description. */
function hardwareOf(description: Description | null, context: StageContext): Hardware {
  const wanted = context.options.vm;
  const described = description?.hardware;
  return {
    name: wanted.name ?? described?.name ?? null,
    memory_mib: wanted.memory ?? described?.memory_mib ?? null,
    vcpus: wanted.vcpus ?? described?.vcpus ?? null,
    firmware: wanted.firmware ?? described?.firmware ?? null,
    nics: described?.nics ?? [],
    os_hint: described?.os_hint ?? null,
  };
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory + sep);
}
