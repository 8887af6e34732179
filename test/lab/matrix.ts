import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withSection } from '#hyper2kvm/handbook/docs.js';
import { probeAccelerator } from '#hyper2kvm/machine/accelerator.js';
import { type BuiltGuest, buildGuest } from './guest.ts';
import { prepareLiveGuests } from './live-guests.ts';
import { type AsItIs, asItIsOnVirtio } from './matrix-as-is.ts';
import { type CodeVersion, codeVersion, type Part, readPart, type Seen, writePart } from './matrix-cache.ts';
import { convertGuest } from './matrix-convert.ts';
import { type InspectedSystem, inspectorDifferences, inspectWithLibguestfs } from './matrix-inspector.ts';
import { type Converted, judge, type PeerResult, type Twice } from './matrix-judge.ts';
import { MATRIX } from './matrix-recipes.ts';
import { healBrokenCopies } from './matrix-remedies.ts';
import { isSame, type MatrixRow, matrixTable } from './matrix-table.ts';
import { convertTwice } from './matrix-twice.ts';
import { convertWithVirtV2v } from './matrix-v2v.ts';
import { type GuestRecipe, RECIPES } from './recipes.ts';

/**
 * `npm run test:matrix [-- [--list] [--table] [--docs] [--twice] [--peers] [--remedies] [--live] [GUEST…]]`: every guest of the
 * matrix is built as VMware left it, looked at on virtio as it is, converted, booted, and planned again from
 * its own output; `--twice` runs PLAN, FIX and CONVERT two times and compares, `--peers` looks at the guest
 * with virt-inspector and converts and boots it with virt-v2v. Prints the table; ends with 1 where a guest is
 * not right. What was seen is kept, so the matrix may be run in pieces: only what the code's change could
 * alter is looked at again. `--table` prints what is known, with the commit it was seen with, and runs
 * nothing; `--docs` puts that into docs/matrix.md. `--remedies` converts the guests that the first plan does not boot
 * (broken-copies.ts) instead, and `--live` prepares those of live-recipes.ts while they run.
 */
const PAGE = fileURLToPath(new URL('../../docs/matrix.md', import.meta.url));
const all: readonly GuestRecipe[] = [...Object.values(RECIPES), ...MATRIX];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    twice: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    remedies: { type: 'boolean', default: false },
    live: { type: 'boolean', default: false },
  },
});
if (values.list) process.stdout.write(all.map(({ name }) => `${name}\n`).join(''));
else if (values.remedies || values.live) {
  const special = values.remedies ? healBrokenCopies : prepareLiveGuests;
  const isRight = await special(positionals, (line) => process.stdout.write(`${line}\n`));
  process.exitCode = isRight ? 0 : 1;
} else await main(positionals);

async function main(names: readonly string[]): Promise<void> {
  const chosen = names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
  const unknown = names.find((name) => !all.some((recipe) => recipe.name === name));
  if (unknown !== undefined) throw new RangeError(`no guest ${unknown}; see --list`);
  const version = await codeVersion();
  if (!values.table && !values.docs) for (const recipe of chosen) await look(recipe, version);
  const rows = [];
  for (const recipe of chosen) rows.push(await rowOf(recipe, version));
  const text = `${await machineText(version)}\n\n${matrixTable(rows)}`;
  if (values.docs) await writeFile(PAGE, withSection(await readFile(PAGE, 'utf8'), 'matrix', text));
  else process.stdout.write(text);
  const isRight = ({ result, twice }: MatrixRow) =>
    result?.faults.length === 0 && (twice === null || isSame(twice));
  process.exitCode = rows.every(isRight) ? 0 : 1;
}

/** Runs what is not known yet of one guest. */
async function look(recipe: GuestRecipe, version: CodeVersion): Promise<void> {
  const say = (line: string) => process.stderr.write(`${recipe.name}: ${line}\n`);
  const guest = await buildGuest(recipe, { say });
  const see = async <T>(
    part: Part,
    what: string,
    run: (guest: BuiltGuest, scratch: string) => Promise<T>,
  ) => {
    const known = await readPart<T>(recipe, part);
    if (known !== null && (isPeer(part) || known.code === version.code)) return;
    say(what);
    const scratch = await mkdtemp(join(tmpdir(), 'h2k-matrix-'));
    try {
      await writePart(recipe, part, version, await run(guest, scratch));
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  };
  await see<AsItIs>('as-is', 'on virtio as it is', asItIsOnVirtio);
  await see<Converted>('converted', 'converting, booting, planning again', convertGuest);
  if (values.twice) await see<Twice>('twice', 'fixing and converting two times', convertTwice);
  if (!values.peers) return;
  await see<InspectedSystem[]>('virt-inspector', 'virt-inspector', inspectWithLibguestfs);
  await see<PeerResult>('virt-v2v', 'virt-v2v, and its result booted', convertWithVirtV2v);
}

/** Nothing of this product is in it. */
function isPeer(part: Part): boolean {
  return part === 'as-is' || part === 'virt-inspector' || part === 'virt-v2v';
}

async function rowOf(recipe: GuestRecipe, version: CodeVersion): Promise<MatrixRow> {
  const asItIs = await readPart<AsItIs>(recipe, 'as-is');
  const converted = await readPart<Converted>(recipe, 'converted');
  const twice = await readPart<Twice>(recipe, 'twice');
  const peer = await readPart<PeerResult>(recipe, 'virt-v2v');
  const inspected = await readPart<InspectedSystem[]>(recipe, 'virt-inspector');
  const identity = converted?.value.bundle.report?.identity;
  const result =
    asItIs === null || converted === null
      ? null
      : judge(recipe, { asItIs: asItIs.value, ...converted.value });
  return {
    ...{ recipe, result, twice: twice?.value ?? null, peer: peer?.value ?? null },
    inspector:
      inspected === null || identity === undefined ? null : inspectorDifferences(identity, inspected.value),
    seenWith: result === null ? '' : seenText([converted, twice], version),
  };
}

/** The oldest of what was seen decides. */
function seenText(parts: readonly (Seen<unknown> | null)[], { code }: CodeVersion): string {
  const known = parts.filter((part) => part !== null);
  const older = known.find((part) => part.code !== code);
  const { commit, date } = older ?? known[0] ?? { commit: '', date: '' };
  return `${commit}, ${date}${older === undefined ? '' : ', code has changed since'}`;
}

async function machineText({ commit }: CodeVersion): Promise<string> {
  const { kind } = await probeAccelerator({ signal: AbortSignal.timeout(60_000) });
  const how = kind === 'kvm' ? 'with KVM' : 'without KVM: machines are emulated';
  return `Commit ${commit}, ${new Date().toISOString().slice(0, 10)}, ${availableParallelism()} cores of ${cpus()[0]?.model ?? 'unknown'}, ${how}.`;
}
