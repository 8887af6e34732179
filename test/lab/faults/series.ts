import { mkdtemp } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { FAILPOINTS, type Failpoint } from '#hyper2kvm/host/failpoint.js';
import { checkSpool } from './check.ts';
import { type Deeds, drive, type RunEnd, runCase } from './drive.ts';
import { ERRNOS, type FaultPlan } from './fault-plan.ts';
import { FaultSpool, type StartOptions } from './spool.ts';
import type { Tally } from './tally.ts';

export interface SeriesOptions {
  /** Short existing directory in which the spools are made. */
  base: string;
  /** Cases at once. */
  parallel: number;
  /** Only every so-manieth case. */
  step: number;
  /** The first call that is hit. */
  from: number;
  /** Ends the series, in milliseconds of `performance.now()`. */
  until: number;
}

/** What has to lie on a tmpfs, so that a claim or a publication is a copy. */
const OTHER_FILESYSTEM: readonly (readonly [Failpoint, 'incoming' | 'archive'])[] = [
  ['claim.copied', 'incoming'],
  ['claim.original-hidden', 'incoming'],
  ['claim.originals-removed', 'incoming'],
  ['claim.committed', 'incoming'],
  ['publish.copied', 'archive'],
];

/** Cases that did not strike in a row: the call that would have been hit does not come any more. */
const MISSES_AT_THE_END = 4;
const PER_CASE_SECONDS = 120;

/**
 * Kills the daemon at each named failpoint, in turn. Those at work inside a guest are
 * test/integration/crash.test.ts's, those of a warm job test/integration/warm.test.ts's.
 */
export async function killAtFailpoints(options: SeriesOptions, tally: Tally): Promise<void> {
  const names = FAILPOINTS.filter((name) => !/^(stage\.(inspect|plan|fix)\.running$|warm\.)/.test(name));
  const some = names.filter((_, index) => index % options.step === 0);
  await inParallel(options, some, async (name) => {
    if (await oneFailpoint(name, options, tally)) return;
    const nobody = { losses: [], duplicates: [], orphans: [], others: ['no daemon died at it'] };
    tally.add(`failpoint:${name}`, { findings: nobody, drops: 0, log: '' });
  });
}

/**
 * Kills the daemon after the Nth call that changes a file system or the database, for N = 1 until a run
 * completes.
 */
export async function killAtCalls(options: SeriesOptions, tally: Tally): Promise<void> {
  await countUp(options, (nth) => oneFault({ group: 'change', nth, action: 'kill-after' }, options, tally));
}

/** The Nth call fails, each errno in turn, for N = 1 until a run completes. */
export async function failCalls(
  group: 'file' | 'database' | 'spawn',
  options: SeriesOptions,
  tally: Tally,
): Promise<void> {
  for (const [offset] of ERRNOS.entries()) {
    await countUp(options, (nth) => {
      const action = ERRNOS[(nth + offset) % ERRNOS.length]!;
      return oneFault({ group, nth, action }, options, tally);
    });
    // With large steps every errno has its turn in the first series.
    if (options.step > 1) return;
  }
}

/**
 * Kills at random moments while `drops` jobs are under way, again and again, and at the end lets one daemon
 * finish. A daemon that was quicker than the moment gets as many drops again, until `kills` have struck.
 */
export async function killAtRandom(
  {
    base,
    until,
    drops,
    kills: wanted,
  }: Pick<SeriesOptions, 'base' | 'until'> & { drops: number; kills: number },
  tally: Tally,
): Promise<void> {
  const spool = await FaultSpool.create(base, '[workers]\njobs = 4\nconversions = 2\n');
  try {
    const deeds: Deeds = { retried: new Set(), cancelled: new Set() };
    let kills = 0;
    let deaths = 0;
    let end: RunEnd = 'done';
    while (performance.now() < until && (end !== 'done' || kills < wanted)) {
      if (end === 'done') await dropMixed(spool, drops);
      if (!spool.running) await spool.start();
      end = await drive(spool, deeds, 0.2 + Math.random() * 3);
      if (end === 'died') deaths += 1;
      if (end !== 'stuck') continue;
      await spool.kill();
      kills += 1;
    }
    if (!spool.running) await spool.start();
    end = await drive(spool, deeds, 30 + spool.drops.length * 3);
    await spool.stop();
    const findings = await checkSpool(spool);
    if (end !== 'done') findings.others.push(`the run is ${end}`);
    if (kills < wanted) findings.others.push(`${kills} of ${wanted} kills: no time was left`);
    if (deaths > 0) findings.others.push(`${deaths} daemons died by themselves`);
    tally.add('random', { findings, drops: spool.drops.length, kills, log: spool.log });
  } finally {
    await spool.destroy();
  }
}

/** So many drops more: of each five one is bad, one will be cancelled. */
async function dropMixed(spool: FaultSpool, count: number): Promise<void> {
  const first = spool.drops.length;
  for (let index = first; index < first + count; index++) {
    if (index % 5 === 4) await spool.drop(`cancel${index}`);
    else await spool.drop(`vm${index}`, index % 5 === 3 ? 'bad' : 'good');
  }
}

/** True when the fault struck. */
export async function oneFault(
  fault: Omit<FaultPlan, 'under'>,
  options: Pick<SeriesOptions, 'base'>,
  tally: Tally,
): Promise<boolean> {
  return oneCase(`${fault.group}:${fault.nth}:${fault.action}`, options, tally, { fault });
}

export async function oneFailpoint(
  name: Failpoint,
  options: Pick<SeriesOptions, 'base'>,
  tally: Tally,
): Promise<boolean> {
  const env = { HYPER2KVM_FAILPOINT: name };
  // A claim is only taken back after something went wrong in it: its first fsync.
  const fault =
    name === 'claim.undone' ? ({ group: 'file', call: 'sync', nth: 1, action: 'EIO' } as const) : undefined;
  return oneCase(`failpoint:${name}`, options, tally, { env, ...(fault === undefined ? {} : { fault }) });
}

/** A good drop, a bad one that is tried again, one that is cancelled. */
async function oneCase(
  name: string,
  { base }: Pick<SeriesOptions, 'base'>,
  tally: Tally,
  start: StartOptions,
): Promise<boolean> {
  const elsewhere = OTHER_FILESYSTEM.find(([failpoint]) => name.endsWith(`:${failpoint}`))?.[1];
  const places = elsewhere === undefined ? {} : { [elsewhere]: await mkdtemp('/dev/shm/h2kf-') };
  const spool = await FaultSpool.create(base, '', places);
  try {
    await spool.drop('good');
    await spool.drop('bad', 'bad');
    await spool.drop('cancel');
    const { findings, struck } = await runCase(spool, start, PER_CASE_SECONDS);
    const isKill = start.fault === undefined || start.fault.action.startsWith('kill');
    const hit = struck ? 1 : 0;
    tally.add(name, {
      findings,
      drops: spool.drops.length,
      ...(isKill ? { kills: hit } : { errors: hit }),
      log: spool.log,
    });
    return struck;
  } finally {
    await spool.destroy();
  }
}

async function countUp(options: SeriesOptions, one: (nth: number) => Promise<boolean>): Promise<void> {
  let next = options.from;
  let misses = 0;
  const worker = async () => {
    while (misses < MISSES_AT_THE_END && performance.now() < options.until) {
      const nth = next;
      next += options.step;
      misses = (await one(nth)) ? 0 : misses + 1;
    }
  };
  await Promise.all(Array.from({ length: options.parallel }, worker));
}

async function inParallel<T>(
  { parallel, until }: SeriesOptions,
  items: readonly T[],
  one: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined && performance.now() < until; item = left.shift())
      await one(item);
    await sleep(0);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}
