import { setImmediate as turn } from 'node:timers/promises';
import type { Job, QueueState } from '../../../src/model/job.js';
import type { Checkpoint } from '../../../src/model/stage-record.js';
import type { Claim } from '../../../src/queue/claim.js';
import * as changes from '../../../src/queue/job-changes.js';
import {
  LONGEST_WAIT_MS,
  type NewNotification,
  type NotificationOutcome,
  type PendingNotification,
} from '../../../src/queue/outbox.js';
import type { JobFilter, Lease, QueueStore, StageTotal } from '../../../src/queue/store.js';

type Waiting = PendingNotification & { nextAt: number };

/** What all stores on it share, as a server's database would hold it. */
export class MemoryData {
  jobs = new Map<string, Job>();
  claims = new Map<string, Claim>();
  checkpoints = new Map<string, Checkpoint[]>();
  outbox: Waiting[] = [];
  delivered: { target: string; outcome: NotificationOutcome; count: number }[] = [];
  totals: StageTotal[] = [];
  isPaused = false;
  ids = 0;
}

/**
 * A queue in memory, for tests: whatever it is asked for happens some turns of the event loop later, as with
 * a database on another host, and the caller hears of it some turns after that. What a transaction throws
 * undoes all of it.
 */
export function memoryQueue(data = new MemoryData(), owner = 'memory'): QueueStore {
  const byId = (a: Job, b: Job) => (a.job < b.job ? -1 : 1);
  const all = () => [...data.jobs.values()].sort(byId);
  const transaction = async <T>(work: () => T): Promise<T> => {
    await turn();
    const before = structuredClone({ ...data });
    try {
      const result = structuredClone(work());
      await turn();
      return result;
    } catch (error) {
      Object.assign(data, before);
      throw error;
    }
  };
  const put = (job: Job): Job => {
    const changed = { ...job, updatedAt: new Date().toISOString() };
    data.jobs.set(job.job, changed);
    return changed;
  };
  const change = (id: string, make: (job: Job) => Job | null) =>
    transaction(() => {
      const job = data.jobs.get(id);
      const made = job === undefined ? null : make(job);
      return made === null ? null : put(made);
    });
  const holder = (lease: Lease) => changes.held(data.jobs.get(lease.job) ?? null, lease);
  const changeHeld = (lease: Lease, make: (job: Job) => Job) => transaction(() => put(make(holder(lease))));
  const add = (notifications: readonly NewNotification[], now: number) => {
    for (const one of notifications) data.outbox.push({ ...one, id: data.ids++, attempts: 0, nextAt: now });
  };
  const kept = (job: string) => data.checkpoints.get(job) ?? [];
  const truncate = (job: string, stage: string) => {
    const at = kept(job).findIndex((checkpoint) => checkpoint.stage === stage);
    if (at >= 0) data.checkpoints.set(job, kept(job).slice(0, at));
  };
  const promised = (states: QueueState[], except: string) =>
    all().reduce(
      (sum, job) => sum + (states.includes(job.state) && job.job !== except ? job.reservedBytes : 0),
      0,
    );
  const queued = () =>
    all()
      .filter((job) => job.state === 'queued' && !changes.isParked(job))
      .sort((a, b) => b.priority - a.priority || byId(a, b));
  return {
    owner,
    jobs: {
      get: (id) => transaction(() => data.jobs.get(id) ?? null),
      find: (text) =>
        transaction(() => {
          const exact = data.jobs.get(text);
          if (exact !== undefined) return [exact];
          const newest = all().findLast(({ vm }) => vm === text);
          return newest === undefined ? all().filter(({ job }) => job.startsWith(text)) : [newest];
        }),
      list: (filter) => transaction(() => all().filter((job) => fits(job, filter ?? {}))),
      async *queued() {
        yield* await transaction(queued);
      },
      counts: () =>
        transaction(() => {
          const counts = { queued: 0, parked: 0, running: 0, converted: 0, failed: 0, cancelled: 0 };
          for (const job of all()) counts[changes.isParked(job) ? 'parked' : job.state] += 1;
          return counts;
        }),
      reservedBytes: ({ running = false, except = '' } = {}) =>
        transaction(() => promised(running ? ['running'] : ['running', 'queued'], except)),
      setPriority: (id, priority) => change(id, (job) => ({ ...job, priority })),
      cancel: (seen, decision) => change(seen.job, (job) => changes.cancelled(job, seen, decision)),
      retry: (seen, request) =>
        change(seen.job, (job) => {
          const retried = changes.retried(job, seen, request);
          if (retried !== null && request.from !== undefined) truncate(job.job, request.from);
          return retried;
        }),
      cutOver: (id) => change(id, (job) => changes.cutOver(job, null)),
      isAwaited: (delta) => transaction(() => all().some((job) => job.delta === delta)),
    },
    runs: {
      async start(id) {
        const job = await change(id, (waiting) =>
          changes.started(waiting, owner, data.isPaused, new Date().toISOString()),
        );
        return job === null ? null : { job, lease: changes.leaseOf(job) };
      },
      renew: (leases) =>
        transaction(() =>
          leases.filter((lease) => {
            const job = data.jobs.get(lease.job);
            return job === undefined || !changes.isHeld(job, lease);
          }),
        ),
      enterStage: (lease, stage) => changeHeld(lease, (job) => ({ ...job, stage })),
      advanced: (lease) => changeHeld(lease, changes.advanced),
      recordStage: (lease, record) =>
        changeHeld(lease, (job) => {
          if (changes.hasRun(record)) addTotal(data.totals, record);
          return changes.recorded(job, record);
        }),
      endStages: (lease, records) => changeHeld(lease, (job) => ({ ...job, records })),
      reserve: (lease, bytes, { atLeast = false } = {}) =>
        transaction(() => {
          put(changes.reserved(holder(lease), bytes, atLeast));
          return promised(['running'], lease.job);
        }),
      reopened: (lease) => changeHeld(lease, changes.reopened),
      leftInFailed: (lease) => changeHeld(lease, changes.leftInFailed),
      decide: (lease, decision) =>
        changeHeld(lease, (job) => {
          const record = changes.refusedRecord(job, decision);
          const refused = kept(job.job).map((one) =>
            one.stage === record?.stage ? { ...one, record } : one,
          );
          data.checkpoints.set(job.job, refused);
          return changes.decided(job, decision);
        }),
      park: (lease, parking) => changeHeld(lease, (job) => changes.parked(job, parking)),
      deltaTaken: (lease, entries) => changeHeld(lease, (job) => changes.deltaTaken(job, entries)),
      requeue: (lease, more) => changeHeld(lease, (job) => changes.requeued(job, more)),
      finish: (lease, keep, tell) =>
        transaction(() => {
          const job = put(changes.finished(holder(lease)));
          add(tell(job), Date.now());
          if (keep === 'none') data.checkpoints.delete(job.job);
          const emptied = kept(job.job).map((checkpoint) => ({ ...checkpoint, output: null }));
          if (keep === 'records') data.checkpoints.set(job.job, emptied);
          return job;
        }),
      requeueInterrupted: () =>
        transaction(() =>
          all()
            .filter((job) => job.state === 'running' && job.owner === owner)
            .map((job) => put(changes.interrupted(job))),
        ),
    },
    claims: {
      record: (claim) => transaction(() => void data.claims.set(claim.job, claim)),
      setPhase: (job, phase) =>
        transaction(() => void data.claims.set(job, { ...data.claims.get(job)!, phase })),
      pending: () => transaction(() => [...data.claims.values()].sort((a, b) => (a.job < b.job ? -1 : 1))),
      commit: (claim, entries) =>
        transaction(() => {
          if (data.jobs.has(claim.job)) throw new Error(`there is a job ${claim.job} already`);
          data.claims.delete(claim.job);
          const parked = claim.joins === undefined ? undefined : data.jobs.get(claim.joins);
          const joined = parked === undefined ? null : changes.cutOver(parked, claim);
          if (joined !== null) return put(joined);
          return put(changes.newJob(claim, entries, new Date().toISOString()));
        }),
      forget: (job) => transaction(() => void data.claims.delete(job)),
    },
    checkpoints: {
      load: (job) => transaction(() => kept(job)),
      save: (lease, checkpoint) =>
        transaction(() => void data.checkpoints.set(holder(lease).job, [...kept(lease.job), checkpoint])),
      truncate: (lease, stage) => transaction(() => truncate(holder(lease).job, stage)),
    },
    outbox: {
      add: (notifications, now = Date.now()) => transaction(() => add(notifications, now)),
      due: (target, now) =>
        transaction(() => {
          const isDue = ({ nextAt }: Waiting) => nextAt <= now || nextAt > now + LONGEST_WAIT_MS;
          const due = data.outbox.filter((one) => one.target === target && isDue(one));
          const [next] = due.sort((a, b) => a.attempts - b.attempts || a.id - b.id);
          if (next === undefined) return null;
          const { nextAt: _, ...pending } = next;
          return pending;
        }),
      postpone: (id, attempts, nextAt) =>
        transaction(() => {
          data.outbox = data.outbox.map((one) => (one.id === id ? { ...one, attempts, nextAt } : one));
        }),
      settle: ({ id, target }, outcome) =>
        transaction(() => {
          data.outbox = data.outbox.filter((one) => one.id !== id);
          const known = data.delivered.find((one) => one.target === target && one.outcome === outcome);
          if (known === undefined) data.delivered.push({ target, outcome, count: 1 });
          else known.count += 1;
        }),
      targets: () => transaction(() => [...new Set(data.outbox.map(({ target }) => target))]),
      nextAt: (now) =>
        transaction(() => {
          const later = data.outbox.flatMap(({ nextAt }) => (nextAt > now ? [nextAt] : []));
          return later.length === 0 ? null : Math.min(...later);
        }),
      counts: () =>
        transaction(() => {
          const pending = new Map<string, number>();
          for (const { target } of data.outbox) pending.set(target, (pending.get(target) ?? 0) + 1);
          const waiting = [...pending].map(([target, count]) => ({
            ...{ target, count },
            outcome: 'pending' as const,
          }));
          return [...data.delivered, ...waiting].sort((a, b) =>
            `${a.target} ${a.outcome}` < `${b.target} ${b.outcome}` ? -1 : 1,
          );
        }),
    },
    statistics: {
      stageTotals: () => transaction(() => [...data.totals].sort(byStage)),
      boots: () =>
        transaction(() => {
          const counts = new Map<string, number>();
          for (const { result } of all())
            if (result.boot !== null)
              counts.set(result.boot.verdict, (counts.get(result.boot.verdict) ?? 0) + 1);
          return [...counts].map(([verdict, count]) => ({ verdict, count }));
        }),
      oldestQueued: () =>
        transaction(
          () =>
            queued()
              .map(({ updatedAt }) => updatedAt)
              .sort()[0] ?? null,
        ),
    },
    pause: {
      isOn: () => transaction(() => data.isPaused),
      set: (on, tell) =>
        transaction(() => {
          if (data.isPaused === on) return false;
          data.isPaused = on;
          add(tell(), Date.now());
          return true;
        }),
    },
    ping: () => transaction(() => undefined),
    async close() {},
  };
}

function byStage(a: StageTotal, b: StageTotal): number {
  return `${a.stage} ${a.status}` < `${b.stage} ${b.status}` ? -1 : 1;
}

function fits(job: Job, { states, name, since, warm }: JobFilter): boolean {
  if (warm !== undefined && (job.warm === null || !warm.includes(job.warm))) return false;
  if (states !== undefined && !states.includes(job.state)) return false;
  if (name !== undefined && !job.vm.includes(name) && !job.dropName.includes(name)) return false;
  return since === undefined || job.createdAt >= since;
}

function addTotal(totals: StageTotal[], run: Omit<StageTotal, 'runs'>): void {
  const known = totals.find(({ stage, status }) => stage === run.stage && status === run.status);
  if (known === undefined) {
    const { stage, status, seconds, bytes_read, bytes_written } = run;
    totals.push({ stage, status, runs: 1, seconds, bytes_read, bytes_written });
    return;
  }
  known.runs += 1;
  known.seconds += run.seconds;
  known.bytes_read += run.bytes_read;
  known.bytes_written += run.bytes_written;
}
