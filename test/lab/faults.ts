import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import type { Failpoint } from '#hyper2kvm/host/failpoint.js';
import { CONDITIONS, checkCondition } from './faults/conditions.ts';
import type { FaultPlan } from './faults/fault-plan.ts';
import { losePower, losePowerUnsynced, whyNoPowerLoss } from './faults/power.ts';
import {
  failCalls,
  killAtCalls,
  killAtFailpoints,
  killAtRandom,
  oneFailpoint,
  oneFault,
  type SeriesOptions,
} from './faults/series.ts';
import { Tally } from './faults/tally.ts';

/**
 * `npm run test:faults [-- --only NAME,… --minutes N --step N --from N --case NAME]`: the fault campaign.
 * Prints what it counted, last line JSON; exit code 1 when a promise was broken.
 */
const SERIES = {
  failpoints: killAtFailpoints,
  kills: killAtCalls,
  files: (options, tally) => failCalls('file', options, tally),
  database: (options, tally) => failCalls('database', options, tally),
  spawns: (options, tally) => failCalls('spawn', options, tally),
  random: ({ step, ...options }, tally) =>
    killAtRandom({ ...options, ...(step > 1 ? { drops: 15, kills: 2 } : { drops: 60, kills: 20 }) }, tally),
  power,
  conditions,
} satisfies Record<string, (options: SeriesOptions, tally: Tally) => Promise<void>>;

/** Minutes each, or for a machine of its own. */
const LONG_CONDITIONS = [
  'crowd',
  'fetch-killed',
  'not-drops',
  'appliance-dies',
  'appliance-full',
  'boot-full',
];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    minutes: { type: 'string', default: '600' },
    step: { type: 'string', default: '1' },
    parallel: { type: 'string', default: '3' },
    from: { type: 'string', default: '1' },
    case: { type: 'string' },
  },
});
const base = await mkdtemp(join(tmpdir(), 'h2kc-'));
const tally = new Tally();
try {
  if (values.case === undefined) await campaign(values.only?.split(',') ?? Object.keys(SERIES));
  else await repeat(values.case);
} catch (error) {
  const { code, message, advice } = errorRecord(error);
  process.stderr.write(`${code}: ${message}\n${advice}\n${error instanceof Error ? error.stack : ''}\n`);
  process.exitCode = 1;
} finally {
  await rm(base, { recursive: true, force: true });
}
if (tally.failed || tally.counts.cases === 0) process.exitCode = 1;
process.stdout.write(`${JSON.stringify(tally.counts)}\n`);

async function power({ base, step, until }: SeriesOptions, tally: Tally): Promise<void> {
  const missing = whyNoPowerLoss();
  if (missing !== null) return void process.stdout.write(`power: not run: ${missing}\n`);
  const isShort = step > 1;
  await losePowerUnsynced(await mkdtemp(join(base, 'p')), until, tally);
  await losePower({ base: await mkdtemp(join(base, 'p')), cuts: isShort ? 6 : 40, until }, tally);
}

async function conditions(options: SeriesOptions, tally: Tally): Promise<void> {
  for (const name of Object.keys(CONDITIONS)) {
    if (options.step > 1 && LONG_CONDITIONS.includes(name)) continue;
    await condition(name, options.base, tally);
  }
}

async function condition(name: string, base: string, tally: Tally): Promise<void> {
  tally.add(`condition:${name}`, await checkCondition(name, await mkdtemp(join(base, 'c'))));
}

async function campaign(names: readonly string[]): Promise<void> {
  const series = new Map(Object.entries(SERIES));
  for (const [index, name] of names.entries()) {
    const one = series.get(name);
    if (one === undefined) throw new Error(`no series ${name}: there are ${[...series.keys()].join(', ')}`);
    const started = performance.now();
    // What is left of the time is shared by the series that are left.
    const share = (Number(values.minutes) * 60_000 - started) / (names.length - index);
    await one(
      {
        base,
        parallel: Number(values.parallel),
        step: Number(values.step),
        from: Number(values.from),
        until: started + share,
      },
      tally,
    );
    const seconds = Math.round((performance.now() - started) / 1000);
    process.stdout.write(`${name}: ${seconds} s, total so far ${JSON.stringify(tally.counts)}\n`);
  }
}

/** `failpoint:NAME`, `condition:NAME` or `GROUP:N:ACTION`, as a finding names it. */
async function repeat(name: string): Promise<void> {
  const [group = '', second = '', action = ''] = name.split(':');
  if (group === 'condition') await condition(second, base, tally);
  else if (group === 'failpoint') await oneFailpoint(second as Failpoint, { base }, tally);
  else
    await oneFault(
      { group: group as FaultPlan['group'], nth: Number(second), action: action as FaultPlan['action'] },
      { base },
      tally,
    );
}
