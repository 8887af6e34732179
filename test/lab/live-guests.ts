import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FIXERS } from '#hyper2kvm/families/linux/fixers.js';
import type { Plan } from '#hyper2kvm/operations/plan.js';
import { run } from '#hyper2kvm/tools/run.js';
import { cli, type Ended } from '../integration/support/cli.ts';
import { buildGuest } from './guest.ts';
import { LIVE_RECIPES } from './live-recipes.ts';
import { convertDrop, planDrop } from './matrix-convert.ts';
import type { GuestRecipe } from './recipes.ts';
import { type RunningHost, startHost } from './running-host.ts';

/** What `live --json` prints, of a plan, an apply, a rollback or a failure. */
export interface LiveAnswer {
  digest: string;
  backup: string | null;
  changes: { path: string }[];
  plan: Plan;
  restored: string[];
  error: { code: string };
}

interface Login {
  user?: keyof RunningHost['keys'];
  knownHosts?: string;
  env?: Record<string, string>;
  onOutput?: (ended: Omit<Ended, 'code'>, kill: (signal: NodeJS.Signals) => void) => void;
}

/** Runs `hyper2kvm live` on the host, as root unless `user` says who. */
export function runLive(host: RunningHost, more: readonly string[], login: Login = {}): Promise<Ended> {
  const { user = 'root', knownHosts = host.knownHosts, env = {}, onOutput } = login;
  const who = ['--user', user === 'nobody' ? 'guest' : user, '-i', host.keys[user]];
  const where = ['127.0.0.1', '--port', String(host.port), '--known-hosts', knownHosts];
  return cli(['live', ...where, ...who, '--json', ...more], {
    env,
    ...(onOutput === undefined ? {} : { onOutput }),
  });
}

export async function live(
  host: RunningHost,
  more: readonly string[] = [],
  login: Login = {},
): Promise<LiveAnswer> {
  const { out, err } = await runLive(host, more, login);
  if (out === '') throw new Error(`live ${more.join(' ')} printed nothing: ${err}`);
  return JSON.parse(out) as LiveAnswer;
}

/** What a usual conversion would still change in a prepared disk. */
export interface Left {
  /** Parts of the conversion. */
  left: string[];
  /** Those of them that `live` should have left nothing for. */
  forgotten: string[];
}

export async function planPrepared(disk: string): Promise<Left> {
  const { operations } = JSON.parse(await planDrop(disk)) as Plan;
  const left = [...new Set(operations.map(({ fixer }) => fixer))];
  const safe = FIXERS.filter(({ whileRunning }) => whileRunning).map(({ name }) => name);
  return { left, forgotten: left.filter((name) => safe.includes(name)) };
}

/** Converts a prepared disk as it is, boots it, and returns what that came to: `booted at login on virtio`. */
async function convertPrepared(disk: string, scratch: string): Promise<string> {
  const { directory, report, error } = await convertDrop(disk, scratch, ['--set', 'fix.mode=none']);
  if (directory === null) throw new Error(`${error?.code}: ${error?.message}`);
  const domain = await readFile(join(directory, 'prepared.xml'), 'utf8');
  const bus = /<target dev='\w+' bus='(\w+)'/.exec(domain)?.[1];
  return `${report?.boot?.verdict} at ${report?.boot?.level} on ${bus}`;
}

/**
 * Prepares guests while they run, moves them, and prints what became of each. Returns whether all of them are
 * right. `names`: only these.
 */
export async function prepareLiveGuests(
  names: readonly string[],
  say: (line: string) => void,
): Promise<boolean> {
  let isRight = true;
  for (const recipe of Object.values(LIVE_RECIPES)) {
    if (names.length > 0 && !names.includes(recipe.name)) continue;
    const scratch = await mkdtemp(join(tmpdir(), 'h2k-live-'));
    try {
      const { verdict, left, forgotten } = await prepareAndMove(recipe, scratch, (line) =>
        say(`${recipe.name}: ${line}`),
      );
      const isThis = verdict === 'booted at login on virtio' && left.length > 0 && forgotten.length === 0;
      say(`${recipe.name}: ${verdict}; left for the move: ${left.join(' ')}${isThis ? '' : ': NOT RIGHT'}`);
      isRight &&= isThis;
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
  return isRight;
}

async function prepareAndMove(
  recipe: GuestRecipe,
  scratch: string,
  say: (line: string) => void,
): Promise<Left & { verdict: string }> {
  const disk = join(scratch, 'disk.raw');
  const prepared = join(scratch, 'prepared.raw');
  await mkdir(join(scratch, 'host'));
  await run('cp', ['--sparse=always', (await buildGuest(recipe)).image, disk]);
  const host = await startHost(recipe, disk, join(scratch, 'host'));
  try {
    const { digest } = await live(host);
    const applied = await live(host, ['--apply', digest]);
    say(`changed ${applied.changes.map(({ path }) => path).join(' ')}`);
    await host.pack(prepared);
  } finally {
    await host.stop();
  }
  return { verdict: await convertPrepared(prepared, scratch), ...(await planPrepared(prepared)) };
}
