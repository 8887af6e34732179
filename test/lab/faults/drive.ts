import { setTimeout as sleep } from 'node:timers/promises';
import type { JobSummary } from '#hyper2kvm/api/protocol.js';
import { checkSpool, type Findings } from './check.ts';
import type { FaultSpool, StartOptions } from './spool.ts';

/**
 * What the operator does in each run, once each, whatever dies meanwhile: tries every failed job again,
 * cancels those named `cancel…`.
 */
export interface Deeds {
  retried: Set<string>;
  cancelled: Set<string>;
}

export type RunEnd = 'done' | 'died' | 'stuck';

/**
 * Until every drop has its job in a final state, and stays there; or the daemon died; or `seconds` are over.
 */
export async function drive(spool: FaultSpool, deeds: Deeds, seconds: number): Promise<RunEnd> {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    if (!spool.running) return 'died';
    const jobs = await spool.client.jobs().catch(() => null);
    if (jobs !== null && !(await act(spool, jobs, deeds)) && isQuiet(spool, jobs)) return 'done';
    // A list of ten thousand keeps the daemon from its work for a while.
    await sleep(50 + (jobs?.length ?? 0));
  }
  return spool.running ? 'stuck' : 'died';
}

function isQuiet(spool: FaultSpool, jobs: readonly JobSummary[]): boolean {
  const isFinal = ({ state }: JobSummary) => ['converted', 'failed', 'cancelled'].includes(state);
  return jobs.length >= spool.drops.length && jobs.every(isFinal);
}

/** True when something was asked of the daemon. */
async function act(spool: FaultSpool, jobs: readonly JobSummary[], deeds: Deeds): Promise<boolean> {
  let acted = false;
  for (const { job, vm, state } of jobs) {
    if (state === 'failed' && !deeds.retried.has(vm)) {
      deeds.retried.add(vm);
      acted = true;
      await spool.client.retry(job).catch(() => undefined);
    }
    if (vm.startsWith('cancel') && (state === 'running' || state === 'queued') && !deeds.cancelled.has(vm)) {
      deeds.cancelled.add(vm);
      acted = true;
      await spool.client.cancel(job).catch(() => undefined);
    }
  }
  return acted;
}

/**
 * One whole case: a daemon with a fault, then (when that died) daemons without until all is done, then a
 * clean stop and the check. A daemon that lives must come to the end by itself.
 */
export async function runCase(
  spool: FaultSpool,
  options: StartOptions,
  seconds = 60,
): Promise<{ findings: Findings; struck: boolean }> {
  const deeds: Deeds = { retried: new Set(), cancelled: new Set() };
  await spool.start(options);
  let end = await drive(spool, deeds, seconds);
  const struck = spool.strikes > 0 || end === 'died';
  for (let restarts = 0; end === 'died' && restarts < 3; restarts++) {
    await spool.start();
    end = await drive(spool, deeds, seconds);
  }
  await spool.stop();
  const findings = await checkSpool(spool);
  if (end !== 'done') findings.others.push(`after ${seconds} s the run is ${end}`);
  return { findings, struck };
}
