/**
 * Exclusive access to a job's directories in work/, for either the run of the job or the sweeper that removes
 * what it left behind.
 */
export class JobLocks {
  readonly #held = new Map<string, Promise<void>>();

  /** Resolves with the release function once nobody else holds the job. */
  async hold(job: string): Promise<() => void> {
    for (let other = this.#held.get(job); other !== undefined; other = this.#held.get(job)) await other;
    return this.#take(job);
  }

  /** Returns null if the job is held. */
  tryToHold(job: string): (() => void) | null {
    return this.#held.has(job) ? null : this.#take(job);
  }

  #take(job: string): () => void {
    let done: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      done = resolve;
    });
    this.#held.set(job, held);
    return () => {
      if (this.#held.get(job) === held) this.#held.delete(job);
      done();
    };
  }
}
