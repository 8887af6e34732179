import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from '../tools/run.js';
import { testCache } from './cache.js';
import { formOf } from './forms.js';
import { type BuiltGuest, buildGuest } from './guest.js';
import { keyOf, membersOf } from './layout.js';
import { asItIsOnVirtio } from './matrix-as-is.js';
import { type Bundle, judge, matrixTable, type Observed } from './matrix-judge.js';
import { MATRIX } from './matrix-recipes.js';
import { type GuestRecipe, RECIPES } from './recipes.js';

/**
 * `npm run test:matrix [-- [--list] [--table] [GUEST…]]`: every guest of the matrix is built as VMware left it, looked at on virtio as it is, converted, booted, planned a second time from
 * the same source and once from its own output. Prints the table; ends with 1 where a guest is not right. A result stays valid for the same guest and the same code, so the
 * matrix may be run in pieces: `--table` prints what is known without running anything.
 */
const CLI = fileURLToPath(new URL('../cli.js', import.meta.url));
const DIST = dirname(CLI);
const all: readonly GuestRecipe[] = [...Object.values(RECIPES), ...MATRIX];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean', default: false }, table: { type: 'boolean', default: false } },
});
if (values.list) process.stdout.write(all.map(({ name }) => `${name}\n`).join(''));
else await main(positionals, values.table);

async function main(names: readonly string[], isOnlyTable: boolean): Promise<void> {
  const chosen = names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
  const unknown = names.find((name) => !all.some((recipe) => recipe.name === name));
  if (unknown !== undefined) throw new RangeError(`no guest ${unknown}; see --list`);
  const code = await codeVersion();
  const results = [];
  for (const recipe of chosen) {
    const observed = (await known(recipe, code)) ?? (isOnlyTable ? null : await runGuest(recipe, code));
    if (observed !== null) results.push(judge(recipe, observed));
  }
  process.stdout.write(matrixTable(chosen, results));
  process.exitCode = results.every(({ faults }) => faults.length === 0) ? 0 : 1;
}

/** The product's compiled code without the lab: what a result depends on beside the guest. */
async function codeVersion(): Promise<string> {
  const files = (await readdir(DIST, { recursive: true })).filter(
    (name) => name.endsWith('.js') && !name.startsWith('lab/'),
  );
  const hash = createHash('sha256');
  for (const name of files.sort()) hash.update(name).update(await readFile(join(DIST, name)));
  return hash.digest('hex').slice(0, 16);
}

function resultFile(recipe: GuestRecipe, code: string): string {
  const guest = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
  return join(testCache(), 'matrix', `${recipe.name}-${guest}-${code}.json`);
}

async function known(recipe: GuestRecipe, code: string): Promise<Observed | null> {
  const text = await readFile(resultFile(recipe, code), 'utf8').catch(() => null);
  return text === null ? null : (JSON.parse(text) as Observed);
}

async function runGuest(recipe: GuestRecipe, code: string): Promise<Observed> {
  const say = (line: string) => process.stderr.write(`${recipe.name}: ${line}\n`);
  const guest = await buildGuest(recipe, { say });
  const scratch = await mkdtemp(join(tmpdir(), 'h2k-matrix-'));
  try {
    say('on virtio as it is');
    const asItIs = await asItIsOnVirtio(guest);
    const drop = await makeDrop(guest, join(scratch, 'drop', recipe.name));
    say('converting');
    const bundle = await convert(drop, scratch);
    say('planning again, then from its own output');
    const again = bundle.directory === null ? '' : await plan(drop);
    const second =
      bundle.directory === null ? '' : await plan(await ownOutput(recipe, bundle.directory, scratch));
    // What was seen is kept, not the verdict: a better judge needs no new run.
    const observed: Observed = { asItIs, bundle, again, second };
    const file = resultFile(recipe, code);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, `${JSON.stringify(observed, null, 2)}\n`);
    return observed;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function makeDrop({ recipe, images }: BuiltGuest, drop: string): Promise<string> {
  await mkdir(drop, { recursive: true });
  for (const [index, image] of images.entries())
    await formOf(image, 'monolithicSparse', drop, { name: `disk${index}` });
  await writeKeys(recipe, drop, (device) => device);
  return drop;
}

/** A job.toml with the keys of the guest's LUKS volumes, as its owner would write it. */
async function writeKeys(
  recipe: GuestRecipe,
  drop: string,
  nameOf: (device: string) => string,
): Promise<void> {
  const luks = (recipe.volumes ?? []).filter(({ kind }) => kind === 'luks');
  const entries = luks.map((volume) => {
    const device = nameOf(membersOf(recipe, volume)[0] ?? '');
    return `[[guest.luks]]\ndevice = "${device}"\nkey_file = "${volume.name}.key"\n`;
  });
  if (entries.length > 0) await writeFile(join(drop, 'job.toml'), entries.join('\n'));
  for (const volume of luks) await writeFile(join(drop, `${volume.name}.key`), keyOf(recipe, volume));
}

async function convert(drop: string, scratch: string): Promise<Bundle> {
  const output = join(scratch, 'output');
  const settings = ['--set', 'validate.timeout_seconds=1200'];
  const { stdout } = await run(
    process.execPath,
    [CLI, 'convert', drop, '-o', output, '--json', ...settings],
    {
      timeoutSeconds: 3_600,
      okCodes: [0, 1],
    },
  );
  const { directory = null, report, error = null } = JSON.parse(stdout.toString('utf8')) as Partial<Bundle>;
  const isConverted = error === null && directory !== null;
  const planned = isConverted ? await readFile(join(directory, 'plan.json'), 'utf8') : '';
  return { directory: isConverted ? directory : null, report, error, plan: planned };
}

/** plan.json as `hyper2kvm plan` prints it; the last newline is the terminal's. */
async function plan(drop: string): Promise<string> {
  const { stdout } = await run(process.execPath, [CLI, 'plan', drop, '--json'], { timeoutSeconds: 1_800 });
  return `${stdout.toString('utf8').trimEnd()}\n`;
}

/** The delivered disks as a drop of their own. */
async function ownOutput(recipe: GuestRecipe, bundle: string, scratch: string): Promise<string> {
  const drop = join(scratch, 'second', recipe.name);
  await mkdir(drop, { recursive: true });
  const disks = (await readdir(bundle)).filter((name) => name.endsWith('.qcow2'));
  for (const disk of disks) await rename(join(bundle, disk), join(drop, basename(disk)));
  await writeKeys(recipe, drop, (device) => device);
  return drop;
}
