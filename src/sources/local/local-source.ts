import { sep } from 'node:path';
import { z } from 'zod';
import { assemble } from '../../disk/assemble.js';
import { chainOf } from '../../disk/chain.js';
import { refuseHoles } from '../../disk/compression.js';
import { eachDisk } from '../../host/each-disk.js';
import { type DropPlace, dropPlaceSchema } from '../../model/drop.js';
import type { Hardware } from '../../model/hardware.js';
import type { Warning } from '../../model/plan.js';
import { printable } from '../../text/escape-terminal.js';
import type { OpenSource, Source, SourceContext } from '../base/source.js';
import { chooseDisks } from './choose-disks.js';
import { CompletenessCheck } from './completeness.js';
import { readDescription, suspendedStates } from './description.js';
import { emptyDisk } from './empty-disk.js';
import { refuseUnfinished, takeInventory } from './inventory.js';
import { checkJoined } from './join-pieces.js';
import { listSource, sourceId } from './list-source.js';
import { verifyManifests } from './manifest.js';
import { passedOver, usedIn } from './passed-over.js';
import { readHeaders } from './read-headers.js';
import { Unpacker } from './unpack.js';

const localSpec = z.object({ drop: dropPlaceSchema });
type LocalSpec = z.infer<typeof localSpec>;

/**
 * The drop itself: its files are the VM. Only reads them, except that compressed files are unpacked to
 * copies.
 */
export const localSource: Source<LocalSpec> = {
  type: 'local',
  spec: localSpec,
  contentId: async ({ drop }) => sourceId(await listSource(drop.directory, drop.entries)),
  async open({ drop }, context) {
    const unpacker = new Unpacker(context);
    try {
      const open = await openDrop(drop, context, unpacker);
      await unpacker.removeOthers();
      return open;
    } catch (error) {
      await unpacker.removeAll();
      throw error;
    }
  },
};

async function openDrop(drop: DropPlace, context: SourceContext, unpacker: Unpacker): Promise<OpenSource> {
  const { options, signal, workDirectory } = context;
  context.progress({ percent: 0, step: 'reading headers' });
  const inventory = await takeInventory(drop, {
    refuseHardLinks: isInside(drop.directory, workDirectory),
    workDirectory,
    unpacker,
    signal,
  });
  const description = await readDescription(inventory, options.vm);
  if (description !== null) checkJoined(inventory, description);
  const anyRaw = options.kind === 'data';
  const images = await readHeaders(inventory, { anyRaw, unpacker, description, signal });
  const assembly = assemble(images);
  const chosen = await chooseDisks(inventory, assembly, description, options.kind);
  context.progress({ percent: 30, step: 'checking that every file is complete' });
  refuseHoles('the drop', inventory.holes, inventory.data, options.config.fetch.max_expansion);
  const check = new CompletenessCheck(inventory.places);
  const limit = options.config.workers.disks;
  const disks = await eachDisk([...chosen.entries()], { limit, signal }, async ([index, disk], together) => {
    const { controller } = disk;
    if ('capacity' in disk)
      return { controller, chain: await emptyDisk(disk.capacity, index, workDirectory) };
    const layers = [];
    for (const assembled of chainOf(disk.name, assembly, options.config.flatten.max_chain_depth))
      layers.push(await check.layerOf(assembled, inventory.prefix, together));
    return { controller, chain: { layers } };
  });
  const chains = disks.map(({ chain }) => chain);
  const isUsed = usedIn(chains);
  const parts = new Set(inventory.members.filter(isUsed).map(({ name }) => name));
  refuseUnfinished(inventory.members, (name) => parts.has(name));
  const warnings = await verifyManifests(inventory, context);
  return {
    hardware: description?.hardware ?? UNKNOWN,
    disks,
    files: inventory.files,
    passedOver: passedOver(inventory, images, isUsed),
    warnings: [
      ...(description?.warnings ?? []).map(asWarning),
      ...suspendedStates(inventory).map(suspended),
      ...warnings,
    ],
  };
}

function suspended(name: string): Warning {
  const message = `the VM was suspended, not shut down (${printable(name)}): what it had in memory is lost, and its file systems are as after a power failure`;
  return { fixer: 'fetch', code: 'fetch.suspended', message };
}

function asWarning(message: string): Warning {
  return { fixer: 'fetch', code: 'fetch.description-unread', message };
}

/** The hardware of a VM without a description. */
const UNKNOWN: Hardware = {
  name: null,
  memory_mib: null,
  vcpus: null,
  firmware: null,
  nics: [],
  os_hint: null,
};

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory + sep);
}
