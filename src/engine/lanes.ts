import PQueue from 'p-queue';
import type { LaneName } from './stage.js';
import type { Lanes } from './types.js';

export interface LaneLoad {
  running: number;
  waiting: number;
  slots: number;
}

/**
 * Limits scarce resources by p-queue: a stage holds one slot, granted in order of priority (higher first),
 * then of arrival. A slot is held until its release function is called, even if the holder's signal aborts,
 * because only the holder knows when its tools have exited.
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
      // On abort, p-queue would free the slot of a running task, so its signal is used only to remove a
      // waiting one.
      const waiting = new AbortController();
      const stopWaiting = () => waiting.abort(signal.reason);
      signal.addEventListener('abort', stopWaiting, { once: true });
      this.#queues[lane]
        .add(
          () => {
            signal.removeEventListener('abort', stopWaiting);
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
