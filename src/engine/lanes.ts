import PQueue from 'p-queue';
import type { LaneName } from './stage.js';
import type { Lanes } from './types.js';

export interface LaneLoad {
  running: number;
  waiting: number;
  slots: number;
}

/**
 * The scarce resources as p-queue lanes, one slot a stage, given in order of priority (higher first), then of
 * arrival. A slot is held until its release function is called, also when the holder's signal aborts: only
 * the holder knows when its tools are really gone.
 */
export class PipelineLanes implements Lanes {
  readonly #queues: Record<LaneName, PQueue>;

  constructor(slots: Record<LaneName, number>) {
    this.#queues = {
      appliances: new PQueue({ concurrency: slots.appliances }),
      conversions: new PQueue({ concurrency: slots.conversions }),
      boots: new PQueue({ concurrency: slots.boots }),
    };
  }

  acquire(lane: LaneName, options: { priority: number; signal: AbortSignal }): Promise<() => void> {
    const { priority, signal } = options;
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      // p-queue would free a running task's slot on abort: its signal may only take a waiting one out of the
      // queue.
      const waiting = new AbortController();
      const giveUp = () => waiting.abort(signal.reason);
      signal.addEventListener('abort', giveUp, { once: true });
      this.#queues[lane]
        .add(
          () => {
            signal.removeEventListener('abort', giveUp);
            return new Promise<void>((release) => resolve(release));
          },
          { priority, signal: waiting.signal },
        )
        .catch(reject);
    });
  }

  load(): Record<LaneName, LaneLoad> {
    const one = (queue: PQueue): LaneLoad => ({
      running: queue.pending,
      waiting: queue.size,
      slots: queue.concurrency,
    });
    const { appliances, conversions, boots } = this.#queues;
    return { appliances: one(appliances), conversions: one(conversions), boots: one(boots) };
  }
}
