import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isErrorCode } from '#hyper2kvm/errors/errno.js';
import { run } from '#hyper2kvm/tools/run.js';
import { testCache } from './cache.ts';
import { guestKey } from './guest.ts';
import type { GuestRecipe } from './recipes.ts';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
/** What no conversion of one VM in the foreground runs through: a change there alters no result. */
const APART = /^(daemon|api|queue)\//;

/**
 * The product's code as it is now: `commit` names it for people, `code` (a digest of the compiled files)
 * decides.
 */
export interface CodeVersion {
  commit: string;
  code: string;
}

/** Something seen, and what it was seen with. */
export interface Seen<T> extends CodeVersion {
  /** `2026-11-23` */
  date: string;
  value: T;
}

/**
 * Parts of a guest's result. `as-is`, `virt-inspector` and `virt-v2v` do not depend on this product's code,
 * so they hold as long as the guest is the same; the others are looked at again when the code has changed.
 */
export type Part = 'as-is' | 'converted' | 'twice' | 'virt-inspector' | 'virt-v2v';

export async function codeVersion(): Promise<CodeVersion> {
  const files = (await readdir(DIST, { recursive: true })).filter(
    (name) => name.endsWith('.js') && !APART.test(name),
  );
  const hash = createHash('sha256');
  for (const name of files.sort()) hash.update(name).update(await readFile(join(DIST, name)));
  const git = async (...args: string[]) =>
    (await run('git', args, { cwd: DIST })).stdout.toString('utf8').trim();
  const changed = (await git('status', '--porcelain', '--', '../src')) === '' ? '' : ' with changes';
  const commit = `${await git('rev-parse', '--short', 'HEAD')}${changed}`;
  return { commit, code: hash.digest('hex').slice(0, 16) };
}

/** Null where nothing was seen of this guest. */
export async function readPart<T>(recipe: GuestRecipe, part: Part): Promise<Seen<T> | null> {
  try {
    return JSON.parse(await readFile(fileOf(recipe, part), 'utf8')) as Seen<T>;
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return null;
    throw error;
  }
}

export async function writePart<T>(
  recipe: GuestRecipe,
  part: Part,
  version: CodeVersion,
  value: T,
): Promise<Seen<T>> {
  const seen = { ...version, date: new Date().toISOString().slice(0, 10), value };
  const file = fileOf(recipe, part);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(seen, null, 2)}\n`);
  return seen;
}

function fileOf(recipe: GuestRecipe, part: Part): string {
  return join(testCache(), 'matrix', guestKey(recipe), `${part}.json`);
}
