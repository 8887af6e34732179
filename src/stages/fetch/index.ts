import { sep } from 'node:path';
import { z } from 'zod';
import type { JobOptions } from '../../config/schema.js';
import { type Assembly, assemble, chainOf, leavesOf } from '../../disk/chain.js';
import { type Inventory, takeInventory } from '../../disk/inventory.js';
import { printable, siblingName } from '../../disk/names.js';
import { BLANK } from '../../disk/probe.js';
import type { Vmx } from '../../disk/vmx.js';
import { Hyper2kvmError } from '../../errors.js';
import type { Stage, StageContext } from '../../pipeline/stage.js';
import { checkWhole } from './completeness.js';
import { readVmx } from './description.js';
import { type FetchOutput, fetchOutput, type Hardware } from './schema.js';

const fetchInput = z.object({});

/** Looks at what was dropped, decides which files are the VM's disks and in which order, and refuses what is not safe or not whole. Reads only. */
export const fetchStage: Stage<z.infer<typeof fetchInput>, FetchOutput> = {
  name: 'fetch',
  version: 1,
  input: fetchInput,
  output: fetchOutput,
  dependsOn: ({ kind, vm, config }) => ({ kind, vm, depth: config.flatten.max_chain_depth }),
  async run(context) {
    const { source, options, signal } = context;
    context.progress({ percent: 0, step: 'reading headers' });
    const inventory = await takeInventory(source.directory, source.entries, {
      anyRaw: options.kind === 'data',
      refuseHardLinks: isInside(source.directory, context.workDirectory),
      signal,
    });
    const vmx = await readVmx(inventory);
    const assembly = assemble(inventory.images);
    const disks = vmx === null || vmx.disks.length === 0 ? newestImages(assembly) : vmxDisks(vmx, assembly);
    refuseNoDisk(disks, assembly, inventory, options);
    context.progress({ percent: 30, step: 'checking that every file is whole' });
    for (const { name } of disks) {
      const { layers } = chainOf(name, assembly, options.config.flatten.max_chain_depth);
      await checkWhole(layers, inventory.directory, signal);
    }
    context.log.info({ disks: disks.length, files: inventory.files.length }, 'drop understood');
    return {
      files: inventory.files,
      disks: disks.map(({ name, controller }, index) => ({
        index,
        leaf: `${inventory.prefix}${name}`,
        format: assembly.layers.get(name)!.image.format,
        controller,
      })),
      hardware: hardwareOf(vmx, context),
    };
  },
};

interface FoundDisk {
  name: string;
  controller: string | null;
}

function newestImages(assembly: Assembly): FoundDisk[] {
  return leavesOf(assembly).map((name) => ({ name, controller: null }));
}

/** The .vmx knows which state of each disk is in use: not always the newest one, after going back to a snapshot. */
function vmxDisks(vmx: Vmx, assembly: Assembly): FoundDisk[] {
  return vmx.disks.map(({ controller, file }) => {
    const name = siblingName(file, 'exact', 'the .vmx');
    if (assembly.layers.has(name)) return { name, controller };
    throw new Hyper2kvmError(
      'fetch.missing-disk',
      `the .vmx has ${printable(name)} at ${controller}, which is not in the drop`,
      {
        advice: 'Copy all disks of the VM into the drop, or take the disk out of the .vmx.',
      },
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

/** What job.toml says counts more than the VMX. */
function hardwareOf(vmx: Vmx | null, context: StageContext): Hardware {
  const wanted = context.options.vm;
  return {
    name: wanted.name ?? vmx?.name ?? null,
    memory_mib: wanted.memory ?? vmx?.memoryMib ?? null,
    vcpus: wanted.vcpus ?? vmx?.vcpus ?? null,
    firmware: wanted.firmware ?? vmx?.firmware ?? null,
    nics: vmx?.nics ?? [],
    os_hint: vmx?.osHint ?? null,
  };
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory + sep);
}
