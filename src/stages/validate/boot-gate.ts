/**
 * Lets boots run side by side as `shared`. One that failed under load is repeated as `alone`: it waits for
 * the others to end, and no other begins until it has ended.
 */
export class BootGate {
  #running = 0;
  #exclusive = false;
  #waiting: (() => void)[] = [];

  async shared<T>(signal: AbortSignal, boot: () => Promise<T>): Promise<T> {
    await this.#until(signal, () => !this.#exclusive);
    this.#running++;
    try {
      return await boot();
    } finally {
      this.#running--;
      this.#wake();
    }
  }

  async alone<T>(signal: AbortSignal, boot: () => Promise<T>): Promise<T> {
    await this.#until(signal, () => !this.#exclusive);
    this.#exclusive = true;
    try {
      await this.#until(signal, () => this.#running === 0);
      return await boot();
    } finally {
      this.#exclusive = false;
      this.#wake();
    }
  }

  async #until(signal: AbortSignal, ready: () => boolean): Promise<void> {
    signal.throwIfAborted();
    while (!ready()) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      signal.throwIfAborted();
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
