import { FREE_SLOT, type Progress } from '../engine/stage.js';
import type { PipelineEvent } from '../engine/types.js';
import type { EventBus } from './events.js';

/** What a running job is doing, kept only in memory because it is useless after a restart. */
export interface JobProgress {
  stage: string;
  percent: number | null;
  bytesPerSecond: number | null;
  etaSeconds: number | null;
  waitingFor: string | null;
  step: string | null;
}

interface Entry extends JobProgress {
  startedAt: number;
}

/** An earlier estimate would be a guess. */
const LEAST_PERCENT_FOR_ETA = 3;

/** The running jobs by id, updated by the pipeline's events; emits an event for each change. */
export class LiveProgress {
  readonly #entries = new Map<string, Entry>();
  readonly #events: EventBus;
  readonly #now: () => number;

  /** `now` is monotonic, in seconds. */
  constructor(events: EventBus, now: () => number = () => performance.now() / 1000) {
    this.#events = events;
    this.#now = now;
  }

  get(job: string): JobProgress | null {
    return this.#entries.get(job) ?? null;
  }

  remove(job: string): void {
    this.#entries.delete(job);
  }

  show(job: string, stage: string, step: string): void {
    this.#set(job, { ...this.#blank(stage), step });
  }

  apply(job: string, event: PipelineEvent): void {
    const entry = this.#next(event, this.#entries.get(job));
    if (entry !== null) this.#set(job, entry);
  }

  #next(event: PipelineEvent, entry: Entry | undefined): Entry | null {
    switch (event.type) {
      case 'stage-waiting':
        return { ...this.#blank(event.stage), waitingFor: FREE_SLOT[event.lane] };
      case 'stage-started':
        return this.#blank(event.stage);
      case 'stage-retry': {
        const waitingFor = `next attempt in ${Math.ceil(event.waitSeconds)} s: ${event.error.code}`;
        return { ...this.#blank(event.stage), waitingFor };
      }
      case 'progress':
        return this.#further(entry ?? this.#blank(event.stage), event.progress);
      case 'stage-advanced':
      case 'stage-finished':
      case 'pass-started':
        return null;
    }
  }

  #further(entry: Entry, { percent, bytesPerSecond, etaSeconds, step }: Progress): Entry {
    const elapsed = this.#now() - entry.startedAt;
    const known = percent >= LEAST_PERCENT_FOR_ETA;
    return {
      ...entry,
      percent,
      bytesPerSecond: bytesPerSecond ?? null,
      etaSeconds: etaSeconds ?? (known ? Math.round((elapsed * (100 - percent)) / percent) : null),
      step: step ?? entry.step,
    };
  }

  #set(job: string, entry: Entry): void {
    this.#entries.set(job, entry);
    this.#events.emit('job:progress', job, entry);
  }

  #blank(stage: string): Entry {
    return {
      stage,
      percent: null,
      bytesPerSecond: null,
      etaSeconds: null,
      waitingFor: null,
      step: null,
      startedAt: this.#now(),
    };
  }
}
