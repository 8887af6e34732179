import type { StageContext } from '../../engine/stage.js';

/**
 * Reports progress: percent over all disks, and bytes of virtual disk per second since it was made.
 */
export class SpeedMeter {
  readonly #context: Pick<StageContext, 'progress'>;
  readonly #sizes: ReadonlyMap<number, number>;
  readonly #total: number;
  readonly #done = new Map<number, number>();
  readonly #started = performance.now();

  constructor(
    context: Pick<StageContext, 'progress'>,
    disks: readonly { index: number; virtual_size: number }[],
  ) {
    this.#context = context;
    this.#sizes = new Map(disks.map((disk) => [disk.index, disk.virtual_size]));
    this.#total = disks.reduce((sum, disk) => sum + disk.virtual_size, 0);
  }

  /** The part of all disks that is converted, 0 to 1. */
  get fraction(): number {
    const bytes = [...this.#done.values()].reduce((sum, value) => sum + value, 0);
    return this.#total === 0 ? 1 : bytes / this.#total;
  }

  update(index: number, percent: number): void {
    this.#done.set(index, ((this.#sizes.get(index) ?? 0) * percent) / 100);
    const fraction = this.fraction;
    const seconds = (performance.now() - this.#started) / 1000;
    this.#context.progress({
      // The last percent is for checks and digests.
      percent: Math.min(99, 100 * fraction),
      step: fraction >= 1 ? 'computing the digest' : 'converting',
      ...(seconds > 0.2 ? { bytesPerSecond: (fraction * this.#total) / seconds } : {}),
    });
  }
}
