import { join } from 'node:path';
import type { Logger } from 'pino';
import { Hyper2kvmError } from '../errors.js';
import { formatBytes, freeBytes, noSpace, spaceOf, usedBytes } from '../host/space.js';
import type { NotifyEvent } from '../notifications/event.js';
import { privateCopies } from '../pipeline/hold-source.js';
import type { Queue } from '../queue/queue.js';
import { sourceDirectory } from '../spool/claim.js';
import type { Look } from '../spool/look.js';

/** Scratch, reports and screenshots of a job, whatever its disks' size. */
export const FIXED_BYTES = 64 * 1024 ** 2;
/** Of any filesystem, what is left alone: the queue's database and the logs may be on it. */
const HEADROOM_BYTES = 256 * 1024 ** 2;

export type PauseReason = 'operator' | 'space';

/**
 * What a drop will need beside what it occupies: its used data once more (the output), half as much again for packed sources and metadata, and the whole
 * of it when it has to be copied into work/ first or flattened by a copy. `unpackedBytes` of what comes compressed: there and in the output. FLATTEN knows
 * better, but only after the claim.
 */
export function estimateBytes(looks: readonly Look[], extraCopies: number, unpackedBytes: number): number {
  const used = looks.reduce((sum, look) => sum + Math.max(look.allocatedBytes, 0), 0);
  return Math.ceil(used * (1.5 + extraCopies) + unpackedBytes * 2) + FIXED_BYTES;
}

/**
 * What holds of a claim for certain: the drop itself where it has to be copied (`isMoved` false). Whether
 * there is room for its output shows at FLATTEN.
 */
function leastBytes(looks: readonly Look[], isMoved: boolean): number {
  return (isMoved ? 0 : estimateBytes(looks, 1, 0) - estimateBytes(looks, 0, 0)) + FIXED_BYTES;
}

/** How a drop gets into the work directory, and what it becomes there. */
export interface SpaceNeeds {
  /** By rename: it is on the filesystem of the work directory, and takes up its space already. */
  isMoved: boolean;
  /** Of `estimateBytes`; with the copy into the work directory where it is not moved. */
  copies: number;
  unpackedBytes: number;
}

/**
 * Whether new work may begin. An operator's pause outlives a restart; a pause for space is said once, and ends by itself when there is room again.
 */
export class Admission {
  readonly #queue: Queue;
  readonly #work: string;
  readonly #log: Logger;
  readonly #notify: (event: NotifyEvent) => void;
  #draining = false;
  /** Bytes that are missing, by who waits for them. */
  /** By job, until it is queued again: what must be free for what `reserve` refused it. */
  readonly #lacking = new Map<string, number>();
  readonly #missing = new Map<string, number>();

  /** `notify` puts the notifications of a pause and its end into the outbox. */
  constructor(queue: Queue, work: string, log: Logger, notify: (event: NotifyEvent) => void) {
    this.#queue = queue;
    this.#work = work;
    this.#log = log;
    this.#notify = notify;
  }

  get state(): 'running' | 'paused' | 'draining' {
    if (this.#draining) return 'draining';
    return this.pausedReason === null ? 'running' : 'paused';
  }

  get pausedReason(): PauseReason | null {
    if (this.#queue.settings.get('paused') !== null) return 'operator';
    return this.#missing.size === 0 ? null : 'space';
  }

  /** `space: 3.2 GB more under /var/spool/hyper2kvm/work`; null when this one misses nothing. */
  spaceText(who: string): string | null {
    const missing = this.#missing.get(who);
    return missing === undefined ? null : `space: ${formatBytes(missing)} more under ${this.#work}`;
  }

  /** Nothing new starts; what runs goes on. */
  pause(): void {
    this.#queue.transaction(() => {
      if (this.mayStart) this.#notify({ event: 'paused', queue: { reason: 'operator' } });
      this.#queue.settings.set('paused', new Date().toISOString());
    });
    this.#log.info('queue paused by operator');
  }

  resume(): void {
    this.#queue.transaction(() => {
      if (!this.mayStart) this.#notify({ event: 'resumed', queue: { reason: 'operator' } });
      this.#queue.settings.set('paused', null);
    });
    this.#draining = false;
    this.#log.info('queue resumed by operator');
  }

  /** No drop is claimed any more; what is in the queue is worked off. Ends with `resume` or a restart. */
  drain(): void {
    this.#draining = true;
    this.#log.info('queue draining');
  }

  get mayClaim(): boolean {
    return !this.#draining && this.#queue.settings.get('paused') === null;
  }

  get mayStart(): boolean {
    return this.#queue.settings.get('paused') === null;
  }

  /** Whether so many bytes can be promised beside all that is promised already. `who` waits for space until it can, or is forgotten. */
  async hasRoom(who: string, bytes: number): Promise<boolean> {
    const { jobs, claims } = this.#queue;
    // Drops that are being copied from another filesystem.
    const copied = claims.pending().reduce((sum, { reservedBytes }) => sum + reservedBytes, 0);
    const promised = jobs.reservedBytes() + copied;
    const available = (await freeBytes(this.#work)) - promised - HEADROOM_BYTES;
    return this.#settle(who, bytes - available);
  }

  /** Whether so many bytes could be promised were nothing else on the filesystem. */
  async canEverFit(bytes: number): Promise<boolean> {
    return bytes + HEADROOM_BYTES <= (await spaceOf(this.#work)).total;
  }

  /**
   * Bytes to reserve for a drop when it is taken. An estimate that the filesystem can never meet would hold
   * it for ever: then what is certain counts, and FLATTEN decides. Rejects with `host.no-space` where not
   * even its copy fits.
   */
  async bytesToReserve(
    looks: readonly Look[],
    { isMoved, copies, unpackedBytes }: SpaceNeeds,
  ): Promise<number> {
    const used = isMoved ? looks.reduce((sum, look) => sum + look.allocatedBytes, 0) : 0;
    const estimate = estimateBytes(looks, copies, unpackedBytes);
    if (await this.canEverFit(estimate + used)) return estimate;
    const least = leastBytes(looks, isMoved);
    if (isMoved || (await this.canEverFit(least))) return least;
    throw noSpace(this.#work, least, await spaceOf(this.#work));
  }

  /**
   * Whether a job that waits for space may start again: so much must really be free where it lacked, and not
   * be promised to those that run.
   */
  async hasFree(who: string, bytes: number, directory: string): Promise<boolean> {
    const promised = directory === this.#work ? this.#queue.jobs.reservedBytes({ running: true }) : 0;
    return this.#settle(who, bytes - ((await freeBytes(directory)) - promised), directory);
  }

  /**
   * Reserves what a running job writes, by what its stages know (`StageContext.reserve`). Drops and jobs that
   * do not run yet are no obstacle: they are asked when they come so far. Of what is in the job's directory
   * only the drop and a private copy of it count as there to stay: scratch of an earlier try goes. Rejects
   * with `host.no-space` where it does not fit on the filesystem at all, `host.waits-for-space` where it does
   * not fit now.
   */
  async reserve(
    job: string,
    bytes: number,
    { written = 0, atLeast = false }: { written?: number; atLeast?: boolean } = {},
  ): Promise<void> {
    const staying = [sourceDirectory(this.#work, job), ...(await privateCopies(join(this.#work, job)))];
    const [space, ...used] = await Promise.all([spaceOf(this.#work), ...staying.map(usedBytes)]);
    const kept = used.reduce((sum, each) => sum + each, 0);
    const wanted = bytes + FIXED_BYTES;
    if (wanted + kept + HEADROOM_BYTES > space.total) throw noSpace(this.#work, wanted, space, kept);
    const { jobs } = this.#queue;
    const before = jobs.get(job)?.reservedBytes ?? 0;
    jobs.update(job, { reservedBytes: atLeast ? Math.max(wanted, before) : wanted });
    const free = space.free - jobs.reservedBytes({ running: true, except: job });
    const lacking = wanted - written + HEADROOM_BYTES;
    if (lacking <= free) return;
    this.#lacking.set(job, lacking);
    throw new Hyper2kvmError(
      'host.waits-for-space',
      `${formatBytes(wanted)} are needed under ${this.#work}, and ${formatBytes(Math.max(0, free))} are free for this job`,
      { advice: 'The job goes on by itself when other jobs have ended, or when you make room.' },
    );
  }

  /** What must be free for a job that `reserve` has just sent away: what it has written already stays. */
  bytesToWaitFor(job: string): number {
    const lacking = this.#lacking.get(job) ?? HEADROOM_BYTES;
    this.#lacking.delete(job);
    return lacking;
  }

  /** Whether the database's disk is full: then nothing can be started or put back. */
  databaseIsFull(full: boolean): void {
    this.#settle('the queue’s database', full ? 1 : 0);
  }

  /** Those that do not want anything any more (claimed, cancelled, removed by their owner) keep nobody waiting. */
  forgetExcept(isWaiting: (who: string) => boolean): void {
    for (const who of [...this.#missing.keys()]) if (!isWaiting(who)) this.#settle(who, 0);
  }

  #settle(who: string, missingBytes: number, directory = this.#work): boolean {
    const wasPaused = this.#missing.size > 0;
    if (missingBytes > 0) this.#missing.set(who, missingBytes);
    else this.#missing.delete(who);
    const isPaused = this.#missing.size > 0;
    const facts = { directory, missing_bytes: missingBytes };
    if (isPaused && !wasPaused) {
      this.#log.warn(facts, 'queue paused: not enough space');
      this.#tell({ event: 'paused', queue: { reason: 'space', ...facts } });
    }
    if (!isPaused && wasPaused) {
      this.#log.info({ directory }, 'queue goes on: there is room again');
      this.#tell({ event: 'resumed', queue: { reason: 'space', directory } });
    }
    return missingBytes <= 0;
  }

  /** The database may be on the disk that is full: that must not hold the queue. */
  #tell(event: NotifyEvent): void {
    try {
      this.#notify(event);
    } catch (err) {
      this.#log.error({ err, event: event.event }, 'notification could not be recorded');
    }
  }
}
