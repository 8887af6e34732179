/**
 * Who may touch a job's directories in work/: the run of the job, or the sweeper that removes what the job
 * left. One holder for each job.
 */
export class JobLocks {
  readonly #held = new Map<string, Promise<void>>();

  /** Resolves with the release once nobody else holds the job. */
  async hold(job: string): Promise<() => void> {
    for (let other = this.#held.get(job); other !== undefined; other = this.#held.get(job)) await other;
    return this.#take(job);
  }

  /** Null where somebody holds it. */
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
