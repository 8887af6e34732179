import type { Logger } from 'pino';
import type { JobOptions } from '../config/schema.js';
import type { DropPlace } from '../model/drop.js';
import type { OpenSource, Source, SourceContext } from '../sources/base/source.js';
import { sourceOf } from '../sources/registry.js';

/** The job's source: opened by FETCH, closed when the pipeline's run ends. */
export class SourceSlot {
  readonly #options: JobOptions['source'];
  readonly #sources: readonly Source[];
  #open: OpenSource | null = null;

  constructor(options: JobOptions['source'], sources: readonly Source[]) {
    this.#options = options;
    this.#sources = sources;
  }

  /**
   * Returns the id from which the first stage's is made. `drop` is the original drop, even if a copy of it is
   * read.
   */
  async contentId(drop: DropPlace, signal: AbortSignal): Promise<string> {
    const source = sourceOf(this.#options.type, this.#sources);
    return source.contentId(source.spec.parse({ ...this.#options, drop }), signal);
  }

  /** Opens the source, after closing what an earlier attempt opened. */
  async open(drop: DropPlace, context: SourceContext): Promise<OpenSource> {
    await this.close('failed', context.log);
    const source = sourceOf(this.#options.type, this.#sources);
    this.#open = await source.open(source.spec.parse({ ...this.#options, drop }), context);
    return this.#open;
  }

  /**
   * Closes the source. Never rejects: a source that cannot be closed must not invalidate what was converted
   * from it.
   */
  async close(outcome: 'done' | 'failed', log: Logger): Promise<void> {
    const open = this.#open;
    this.#open = null;
    try {
      await open?.close?.(outcome);
    } catch (err) {
      log.error({ err }, 'source could not be closed');
    }
  }
}
