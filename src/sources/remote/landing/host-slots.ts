/** How many disks are read from one host at once, over all jobs of this process. */
export class HostSlots {
  readonly #used = new Map<string, number>();
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Resolves with the function that gives the slot back. Rejects with the signal's reason. */
  async take(host: string, most: number, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    while ((this.#used.get(host) ?? 0) >= most) await this.#turn(host, signal);
    this.#used.set(host, (this.#used.get(host) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#used.set(host, (this.#used.get(host) ?? 1) - 1);
      this.#waiting.get(host)?.shift()?.();
    };
  }

  #turn(host: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const queue = this.#waiting.get(host) ?? [];
      const wake = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        queue.splice(queue.indexOf(wake), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      queue.push(wake);
      this.#waiting.set(host, queue);
    });
  }
}
