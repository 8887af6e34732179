import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ErrorRecord } from '#hyper2kvm/errors/error.js';
import { run } from '#hyper2kvm/tools/run.js';
import type { BuiltGuest } from './guest.ts';
import { makeDrop, writeKeys } from './matrix-drop.ts';
import type { Bundle, Converted } from './matrix-judge.ts';
import type { GuestRecipe } from './recipes.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** Converts and boots the guest with the command that users have, then plans from its own output. */
export async function convertGuest(guest: BuiltGuest, scratch: string): Promise<Converted> {
  const { recipe } = guest;
  const drop = await makeDrop(guest, join(scratch, 'drop', recipe.name));
  const bundle = await convert(drop, scratch);
  if (bundle.directory === null) return { bundle, second: '' };
  return { bundle, second: await plan(await ownOutput(recipe, bundle.directory, scratch)) };
}

async function convert(drop: string, scratch: string): Promise<Bundle> {
  const output = join(scratch, 'output');
  const settings = ['--set', 'validate.timeout_seconds=1200'];
  const { stdout } = await run(
    process.execPath,
    [CLI, 'convert', drop, '-o', output, '--json', ...settings],
    { timeoutSeconds: 3_600, okCodes: [0, 1] },
  );
  const { directory = null, report, error = null } = JSON.parse(stdout.toString('utf8')) as Partial<Bundle>;
  const isConverted = error === null && directory !== null;
  return { directory: isConverted ? directory : null, report, error };
}

async function plan(drop: string): Promise<string> {
  const { stdout } = await run(process.execPath, [CLI, 'plan', drop, '--json'], {
    timeoutSeconds: 1_800,
    okCodes: [0, 1],
  });
  const text = stdout.toString('utf8');
  const { error } = JSON.parse(text) as { error?: ErrorRecord };
  if (error !== undefined) throw new Error(`plan of ${drop}: ${error.code}: ${error.message}`);
  return text;
}

/** The delivered disks as a drop of their own. */
async function ownOutput(recipe: GuestRecipe, bundle: string, scratch: string): Promise<string> {
  const drop = join(scratch, 'second', recipe.name);
  await mkdir(drop, { recursive: true });
  const disks = (await readdir(bundle)).filter((name) => name.endsWith('.qcow2'));
  for (const disk of disks) await rename(join(bundle, disk), join(drop, disk));
  await writeKeys(recipe, drop);
  return drop;
}
