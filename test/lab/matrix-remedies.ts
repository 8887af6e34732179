import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '#hyper2kvm/report/report.js';
import { BROKEN_COPIES, type BrokenCopy } from './broken-copies.ts';
import { buildGuest } from './guest.ts';
import { convertDrop } from './matrix-convert.ts';
import { RECIPES } from './recipes.ts';

/**
 * Converts guests that the first plan does not boot, and prints one line for each attempt of each. Returns whether all of
 * them ended as they must. `names`: only these.
 */
export async function healBrokenCopies(
  names: readonly string[],
  say: (line: string) => void,
): Promise<boolean> {
  let isRight = true;
  for (const copy of BROKEN_COPIES) {
    if (names.length > 0 && !names.includes(copy.name)) continue;
    const faults = await heal(copy, say);
    for (const fault of faults) say(`${copy.name}: NOT RIGHT: ${fault}`);
    isRight &&= faults.length === 0;
  }
  return isRight;
}

async function heal(copy: BrokenCopy, say: (line: string) => void): Promise<string[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'h2k-broken-'));
  try {
    const disk = await copy.make(await buildGuest(RECIPES[copy.recipe]), join(scratch, 'made'));
    const drop = join(scratch, 'drop', copy.name);
    await mkdir(drop, { recursive: true });
    await rename(disk, join(drop, 'disk0.raw'));
    const { report: converted, error } = await convertDrop(drop, scratch);
    const report = converted ?? (await failedReport(join(scratch, 'output')));
    const { first_attempt: first = null, remedies = [] } = (report ?? {}) as Partial<Report>;
    const attempts = [{ reason: 'the first plan', options: {}, boot: null, ...first }, ...remedies];
    for (const [index, { boot, options, reason }] of attempts.entries())
      say(
        `${copy.name}: attempt ${index + 1}: ${boot?.verdict ?? 'no boot'} ${boot?.failure?.signature ?? ''} ${JSON.stringify(options)} ${reason}`,
      );
    return faultsOf(copy, { attempts, code: error?.code ?? null });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The report of a conversion that failed. */
async function failedReport(output: string): Promise<unknown> {
  const [directory] = await readdir(output);
  return JSON.parse(await readFile(join(output, directory ?? '', 'report.json'), 'utf8'));
}

function faultsOf(
  { ends, options: wanted }: BrokenCopy,
  {
    attempts,
    code,
  }: { attempts: Pick<Report['remedies'][number], 'boot' | 'options'>[]; code: string | null },
): string[] {
  const last = attempts.at(-1);
  const text = (value: unknown) => JSON.stringify(value);
  return [
    ...(attempts.length >= 2 && attempts.length <= 4 ? [] : [`${attempts.length} attempts`]),
    ...((code === null) === (ends === 'booted') ? [] : [`it ended with ${code ?? 'a bundle'}`]),
    ...(ends === 'failed' || last?.boot?.verdict === 'booted' ? [] : ['the last attempt did not boot']),
    ...(wanted === null || text(last?.options) === text(wanted)
      ? []
      : [`the last options are ${text(last?.options)}`]),
  ];
}
