import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pino } from 'pino';
import { jobOptions } from '#hyper2kvm/config/load.js';
import { configSchema } from '#hyper2kvm/config/schema.js';
import { PipelineLanes } from '#hyper2kvm/engine/lanes.js';
import { MemoryCheckpointStore } from '#hyper2kvm/engine/memory-store.js';
import type { CheckpointStore } from '#hyper2kvm/engine/types.js';
import { namedDrop } from '#hyper2kvm/spool/named-drop.js';
import { convertOutput } from '#hyper2kvm/stages/convert/output.js';
import { fixOutput } from '#hyper2kvm/stages/fix/output.js';
import { runPipeline } from '#hyper2kvm/stages/pipeline.js';
import { listingScript } from './appliance-image.ts';
import type { BuiltGuest } from './guest.ts';
import { makeDrop } from './matrix-drop.ts';
import type { Twice } from './matrix-judge.ts';
import type { GuestRecipe } from './recipes.ts';
import { runInAppliance } from './run-in-appliance.ts';

const LISTING_BYTES = 64 * 1024 * 1024;
const SHOWN_DIFFERENCES = 20;

/**
 * Fixes the same source two times, compares the guests' trees, and converts the first one's overlays two
 * times.
 */
export async function convertTwice(guest: BuiltGuest, scratch: string): Promise<Twice> {
  const { recipe } = guest;
  const drop = await makeDrop(guest, join(scratch, 'drop', recipe.name));
  const store = new MemoryCheckpointStore();
  const first = await convert(drop, join(scratch, 'first'), store);
  const second = await convert(drop, join(scratch, 'second'), new MemoryCheckpointStore());
  store.truncate('convert');
  const again = await convert(drop, join(scratch, 'first'), store);
  const left = await listing(recipe, first.fixed, join(scratch, 'first.listing'));
  const right = await listing(recipe, second.fixed, join(scratch, 'second.listing'));
  return {
    entries: new Set([...left, ...right].map((line) => line.split('\t')[0])).size,
    differences: listingDifferences(left, right).slice(0, SHOWN_DIFFERENCES),
    samePlan: first.plan === second.plan,
    sameBytes: first.digests.join() === again.digests.join(),
  };
}

/** Lines that stand in one listing only. Pure. */
export function listingDifferences(left: readonly string[], right: readonly string[]): string[] {
  const [inLeft, inRight] = [new Set(left), new Set(right)];
  return [
    ...left.filter((line) => !inRight.has(line)).map((line) => `first only: ${line}`),
    ...right.filter((line) => !inLeft.has(line)).map((line) => `second only: ${line}`),
  ];
}

/**
 * FETCH to CONVERT in this process. Returns the fixed overlays, plan.json and the digests of the delivered
 * disks.
 */
async function convert(drop: string, workDirectory: string, store: CheckpointStore) {
  await mkdir(workDirectory, { recursive: true, mode: 0o700 });
  const [directory, vm] = [dirname(drop), basename(drop)];
  const { entries, options: file } = await namedDrop(directory, vm);
  const toml = file === null ? null : await readFile(join(directory, file), 'utf8');
  const options = jobOptions(configSchema.parse({}), toml);
  const { outputs, error } = await runPipeline({
    job: { id: 'twice', vm },
    options,
    workDirectory,
    source: { directory, entries },
    priority: 0,
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
    store,
    lanes: new PipelineLanes(options.config.workers),
    until: 'convert',
    reserve: async () => {},
    onEvent: () => {},
  });
  if (error !== null) throw new Error(`${error.code}: ${error.message}`);
  const { disks: fixed } = fixOutput.parse(outputs.fix);
  const { disks } = convertOutput.parse(outputs.convert);
  return {
    fixed: fixed.map(({ image }) => join(workDirectory, image)),
    plan: await readFile(join(workDirectory, 'plan.json'), 'utf8'),
    digests: disks.map(({ sha256 }) => sha256),
  };
}

async function listing(recipe: GuestRecipe, images: readonly string[], file: string): Promise<string[]> {
  await writeFile(file, '');
  await truncate(file, LISTING_BYTES);
  await runInAppliance({
    disks: [
      ...images.map((image) => ({ file: image, format: 'qcow2' as const, readonly: true })),
      { file, format: 'raw', readonly: false },
    ],
    script: listingScript(recipe),
  });
  const bytes = await readFile(file);
  const lines = bytes.subarray(0, bytes.indexOf(0)).toString('utf8').trimEnd().split('\n');
  if (lines.length < 1_000) throw new Error(`a guest of ${lines.length} files is none`);
  return lines;
}
