import { join } from 'node:path';
import type { Logger } from 'pino';
import { Hyper2kvmError } from '../errors/error.js';
import { freeBytes, noSpace, spaceOf, usedBytes } from '../files/space.js';
import type { NotifyEvent } from '../notifications/event.js';
import type { NewNotification } from '../queue/outbox.js';
import type { Lease, QueueStore } from '../queue/store.js';
import { privateCopies } from '../sources/local/hold-source.js';
import { sourceDirectory } from '../spool/claim.js';
import type { EntryState } from '../spool/entry-state.js';
import { formatBytes } from '../text/format.js';
import type { EventBus } from './events.js';
import { allocatedBytes, estimateBytes, FIXED_BYTES, leastBytes, type SpaceNeeds } from './space-needs.js';

/** Free space to leave on any filesystem, which may also hold the queue's database and the logs. */
const HEADROOM_BYTES = 256 * 1024 ** 2;

export type PauseReason = 'operator' | 'space';

/**
 * Identifies a request for space, by the name of the drop or the id of the job; there is one queue database.
 */
export interface Applicant {
  kind: 'drop' | 'job' | 'database';
  id: string;
}

const DATABASE: Applicant = { kind: 'database', id: '' };

interface AdmissionParts {
  queue: QueueStore;
  /** The work directory: space is counted on its filesystem. */
  work: string;
  log: Logger;
  events: EventBus;
  /** Returns what the receivers of an event are sent. */
  notifications(event: NotifyEvent): NewNotification[];
}

/**
 * Decides whether new work may begin. An operator's pause persists over restarts; a pause for space is
 * announced once, and ends automatically when there is enough space again.
 */
export class Admission {
  readonly #parts: AdmissionParts;
  #draining = false;
  /** Missing bytes, by applicant. */
  readonly #missing = {
    drop: new Map<string, number>(),
    job: new Map<string, number>(),
    database: new Map<string, number>(),
  } satisfies Record<Applicant['kind'], Map<string, number>>;
  /** Per job, until it is queued again: what must be free for the space that `reserve` refused. */
  readonly #lacking = new Map<string, number>();

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  get isDraining(): boolean {
    return this.#draining;
  }

  async pausedReason(): Promise<PauseReason | null> {
    if (await this.#parts.queue.pause.isOn()) return 'operator';
    return this.#isShortOfSpace() ? 'space' : null;
  }

  /** `space: 3.2 GiB more under /var/spool/hyper2kvm/work`; null if the applicant lacks none. */
  spaceText({ kind, id }: Applicant): string | null {
    const missing = this.#missing[kind].get(id);
    return missing === undefined ? null : `space: ${formatBytes(missing)} more under ${this.#parts.work}`;
  }

  /** Starts nothing new; what is running continues. */
  async pause(): Promise<void> {
    const { log, events } = this.#parts;
    if (!(await this.#setPause(true, 'paused'))) return;
    log.info('queue paused by operator');
    events.emit('queue:paused', 'operator');
  }

  async resume(): Promise<void> {
    const { log, events } = this.#parts;
    const wasDraining = this.#draining;
    this.#draining = false;
    if (!(await this.#setPause(false, 'resumed')) && !wasDraining) return;
    log.info('queue resumed by operator');
    events.emit('queue:resumed', 'operator');
  }

  #setPause(on: boolean, event: 'paused' | 'resumed'): Promise<boolean> {
    const { queue, notifications } = this.#parts;
    return queue.pause.set(on, () => notifications({ event, queue: { reason: 'operator' } }));
  }

  /** Claims no more drops; queued jobs are still processed. Ends with `resume` or a restart. */
  drain(): void {
    this.#draining = true;
    this.#parts.log.info('queue draining');
    this.#parts.events.emit('queue:draining');
  }

  async mayClaim(): Promise<boolean> {
    return !this.#draining && !(await this.#parts.queue.pause.isOn());
  }

  /**
   * Whether this many bytes can be reserved in addition to all existing reservations. Until they can, the
   * applicant waits for space, unless it is forgotten.
   */
  async hasRoom(applicant: Applicant, bytes: number): Promise<boolean> {
    const { queue, work } = this.#parts;
    // Drops that are being copied from another filesystem. Read before the jobs that they become.
    const claims = await queue.claims.pending();
    const copied = claims.reduce((sum, { reservedBytes }) => sum + reservedBytes, 0);
    const promised = copied + (await queue.jobs.reservedBytes());
    return this.#settle(applicant, bytes - ((await freeBytes(work)) - promised - HEADROOM_BYTES));
  }

  /** Whether this many bytes could be reserved if nothing else were on the filesystem. */
  async canEverFit(bytes: number): Promise<boolean> {
    return bytes + HEADROOM_BYTES <= (await spaceOf(this.#parts.work)).total;
  }

  /**
   * Returns the bytes to reserve for a drop when it is claimed. An estimate that the filesystem can never
   * satisfy would block it forever: in that case only what is certain is reserved, and FLATTEN decides.
   * Rejects with `host.no-space` if not even its copy fits.
   */
  async bytesToReserve(states: readonly EntryState[], needs: SpaceNeeds): Promise<number> {
    const { work } = this.#parts;
    const used = needs.isMoved ? allocatedBytes(states) : 0;
    const estimate = estimateBytes(states, needs);
    if (await this.canEverFit(estimate + used)) return estimate;
    const least = leastBytes(states, needs);
    if (needs.isMoved || (await this.canEverFit(least))) return least;
    throw noSpace(work, least, await spaceOf(work));
  }

  /**
   * Whether a job that waits for space may start again: that much must really be free where it was lacking,
   * and not be reserved for running jobs.
   */
  async hasFree(applicant: Applicant, bytes: number, directory: string): Promise<boolean> {
    const { queue, work } = this.#parts;
    const promised = directory === work ? await queue.jobs.reservedBytes({ running: true }) : 0;
    return this.#settle(applicant, bytes - ((await freeBytes(directory)) - promised), directory);
  }

  /**
   * Reserves what a running job writes, as its stages calculate it (`StageContext.reserve`). Drops and jobs
   * that are not running yet do not count: they are checked when their turn comes. Of the contents of the
   * job's directory only the drop and a private copy of it count as permanent, because scratch of an earlier
   * attempt is removed. Rejects with `host.no-space` if it does not fit on the filesystem at all,
   * `host.waits-for-space` if it does not fit now.
   */
  async reserve(
    lease: Lease,
    bytes: number,
    { written = 0, atLeast = false }: { written?: number; atLeast?: boolean } = {},
  ): Promise<void> {
    const { queue, work } = this.#parts;
    const { job } = lease;
    const staying = [sourceDirectory(work, job), ...(await privateCopies(join(work, job)))];
    const [space, ...used] = await Promise.all([spaceOf(work), ...staying.map(usedBytes)]);
    const kept = used.reduce((sum, each) => sum + each, 0);
    const wanted = bytes + FIXED_BYTES;
    if (wanted + kept + HEADROOM_BYTES > space.total) throw noSpace(work, wanted, space, kept);
    const free = space.free - (await queue.runs.reserve(lease, wanted, { atLeast }));
    const lacking = wanted - written + HEADROOM_BYTES;
    if (lacking <= free) return;
    this.#lacking.set(job, lacking);
    throw new Hyper2kvmError(
      'host.waits-for-space',
      `${formatBytes(wanted)} are needed under ${work}, and ${formatBytes(Math.max(0, free))} are free for this job`,
    );
  }

  /** Returns what must be free for a job that `reserve` just refused: what it has written already stays. */
  bytesToWaitFor(job: string): number {
    const lacking = this.#lacking.get(job) ?? HEADROOM_BYTES;
    this.#lacking.delete(job);
    return lacking;
  }

  /** Records whether the database's disk is full: if it is, no job can be started or put back. */
  async databaseIsFull(full: boolean): Promise<void> {
    await this.#settle(DATABASE, full ? 1 : 0);
  }

  /**
   * Drops the reservations of jobs and drops that no longer wait: claimed, cancelled, or removed by their
   * owner.
   */
  async forgetExcept(kind: 'drop' | 'job', waiting: ReadonlySet<string>): Promise<void> {
    for (const id of [...this.#missing[kind].keys()])
      if (!waiting.has(id)) await this.#settle({ kind, id }, 0);
  }

  #isShortOfSpace(): boolean {
    return Object.values(this.#missing).some(({ size }) => size > 0);
  }

  async #settle(
    { kind, id }: Applicant,
    missingBytes: number,
    directory = this.#parts.work,
  ): Promise<boolean> {
    const { log, events } = this.#parts;
    const wasShort = this.#isShortOfSpace();
    if (missingBytes > 0) this.#missing[kind].set(id, missingBytes);
    else this.#missing[kind].delete(id);
    const isShort = this.#isShortOfSpace();
    const facts = { directory, missing_bytes: missingBytes };
    if (isShort && !wasShort) {
      log.warn(facts, 'queue paused: not enough space');
      await this.#notify({ event: 'paused', queue: { reason: 'space', ...facts } });
      events.emit('queue:paused', 'space');
    }
    if (!isShort && wasShort) {
      log.info({ directory }, 'queue resumed: space available');
      await this.#notify({ event: 'resumed', queue: { reason: 'space', directory } });
      events.emit('queue:resumed', 'space');
    }
    return missingBytes <= 0;
  }

  /**
   * Records a notification. If that fails because the database is on the full disk, the queue must still
   * work.
   */
  async #notify(event: NotifyEvent): Promise<void> {
    try {
      await this.#parts.queue.outbox.add(this.#parts.notifications(event));
    } catch (err) {
      this.#parts.log.error({ err, event: event.event }, 'notification could not be recorded');
    }
  }
}
