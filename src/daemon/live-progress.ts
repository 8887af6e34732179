import type { PipelineEvent } from '../engine/types.js';

/** What a running job does at this moment; only in memory, since it is of no use after a restart. */
export interface Live {
  stage: string;
  percent: number | null;
  bytesPerSecond: number | null;
  etaSeconds: number | null;
  waitingFor: string | null;
  step: string | null;
}

interface Entry extends Live {
  startedAt: number;
}

/** Too early an estimate is a guess. */
const LEAST_PERCENT_FOR_ETA = 3;

/** The running jobs by id, kept current by the pipeline's events. */
export class Board {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;

  /** `now`: monotonic, seconds. */
  constructor(now: () => number = () => performance.now() / 1000) {
    this.#now = now;
  }

  get(job: string): Live | null {
    return this.#entries.get(job) ?? null;
  }

  /** In order of start. */
  all(): [job: string, live: Live][] {
    return [...this.#entries];
  }

  remove(job: string): void {
    this.#entries.delete(job);
  }

  show(job: string, stage: string, step: string): void {
    this.#entries.set(job, { ...this.#blank(stage), step });
  }

  apply(job: string, event: PipelineEvent): void {
    switch (event.type) {
      case 'stage-waiting':
        this.#entries.set(job, { ...this.#blank(event.stage), waitingFor: `a free ${event.lane} lane` });
        return;
      case 'stage-started':
        this.#entries.set(job, this.#blank(event.stage));
        return;
      case 'stage-retry': {
        const waitingFor = `another try in ${Math.ceil(event.waitSeconds)} s: ${event.error.code}`;
        this.#entries.set(job, { ...this.#blank(event.stage), waitingFor });
        return;
      }
      case 'progress': {
        const entry = this.#entries.get(job) ?? this.#blank(event.stage);
        const { percent, bytesPerSecond, step } = event.progress;
        const elapsed = this.#now() - entry.startedAt;
        const known = percent >= LEAST_PERCENT_FOR_ETA;
        this.#entries.set(job, {
          ...entry,
          percent,
          bytesPerSecond: bytesPerSecond ?? null,
          etaSeconds: known ? Math.round((elapsed * (100 - percent)) / percent) : null,
          step: step ?? entry.step,
        });
        return;
      }
      case 'stage-finished':
        return;
    }
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
