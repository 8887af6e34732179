import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ErrorRecord } from '#hyper2kvm/errors/error.js';
import { run } from '#hyper2kvm/tools/run.js';
import { bootGuest, LAB_REPORT, labReport } from './boot.ts';
import type { BuiltGuest } from './guest.ts';
import { lostOf } from './matrix-as-is.ts';
import { makeDrop, writeKeys } from './matrix-drop.ts';
import type { Bundle, Converted } from './matrix-judge.ts';
import { nics } from './vmx-text.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** Converts and boots the guest with the command that users have, then plans from its own output. */
export async function convertGuest(guest: BuiltGuest, scratch: string): Promise<Converted> {
  const { recipe } = guest;
  const drop = await makeDrop(guest, join(scratch, 'drop', recipe.name));
  const bundle = await convertDrop(drop, scratch);
  if (bundle.directory === null) return { bundle, second: '' };
  const output = await ownOutput(bundle.directory, join(scratch, 'second', recipe.name));
  await writeKeys(recipe, output);
  const second = await planDrop(output);
  return recipe.network.other === undefined
    ? { bundle, second }
    : { bundle, second, boots: await bootSeveralTimes(guest, output) };
}

const BOOTS = 3;

/** With its cards in the order of the domain, which is the description's. */
async function bootSeveralTimes(guest: BuiltGuest, output: string): Promise<string[][]> {
  const { recipe } = guest;
  const disks = (await readdir(output)).filter((name) => name.endsWith('.qcow2')).sort();
  const boots: string[][] = [];
  while (boots.length < BOOTS) {
    const { serial } = await bootGuest({
      disks: disks.map((disk) => ({ file: join(output, disk), format: 'qcow2' })),
      ...{ hardware: 'virtio', firmware: recipe.firmware, until: [LAB_REPORT] },
      macs: nics(recipe).map(({ mac }) => mac),
    });
    boots.push(lostOf(guest, labReport(serial)));
  }
  return boots;
}

/** `hyper2kvm convert`, with the bundle in `scratch`; `more`: arguments. */
export async function convertDrop(
  drop: string,
  scratch: string,
  more: readonly string[] = [],
): Promise<Bundle> {
  const output = join(scratch, 'output');
  const settings = ['--set', 'validate.timeout_seconds=1200', ...more];
  const { stdout } = await run(
    process.execPath,
    [CLI, 'convert', drop, '-o', output, '--json', ...settings],
    { timeoutSeconds: 3_600, okCodes: [0, 1] },
  );
  const { directory = null, report, error = null } = JSON.parse(stdout.toString('utf8')) as Partial<Bundle>;
  const isConverted = error === null && directory !== null;
  return { directory: isConverted ? directory : null, report, error };
}

/** What `hyper2kvm plan --json` prints. */
export async function planDrop(drop: string): Promise<string> {
  const { stdout } = await run(process.execPath, [CLI, 'plan', drop, '--json'], {
    timeoutSeconds: 1_800,
    okCodes: [0, 1],
  });
  const text = stdout.toString('utf8');
  const { error } = JSON.parse(text) as { error?: ErrorRecord };
  if (error !== undefined) throw new Error(`plan of ${drop}: ${error.code}: ${error.message}`);
  return text;
}

/** Makes the delivered disks a drop of their own. */
export async function ownOutput(bundle: string, drop: string): Promise<string> {
  await mkdir(drop, { recursive: true });
  const disks = (await readdir(bundle)).filter((name) => name.endsWith('.qcow2'));
  for (const disk of disks) await rename(join(bundle, disk), join(drop, disk));
  return drop;
}
