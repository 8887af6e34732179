import { join, relative } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { Logger } from 'pino';

export interface WatchRequest {
  directory: string;
  /** Something happened to this name in incoming, or inside it: scan soon. */
  onHint(name: string): void;
  log: Logger;
}

/**
 * More entries than this are not watched: with each change chokidar lists the directory and stats every
 * entry, which takes all of the daemon's input and output when there are thousands.
 */
const MOST_ENTRIES = 2_000;

/**
 * inotify, by chokidar, only as a hint that makes a drop noticed at once: what is there is decided by the
 * scan. Events get lost (a full inotify queue, network filesystems), and that costs at most one polling
 * interval.
 */
export class IncomingWatch {
  readonly #request: WatchRequest;
  #watcher: FSWatcher | null = null;
  #wasCrowded = false;

  constructor(request: WatchRequest) {
    this.#request = request;
  }

  /** Watches unless there are too many entries, and again when half of them are gone. */
  async follow(entries: number): Promise<void> {
    if (this.#watcher !== null && entries > MOST_ENTRIES) {
      this.#wasCrowded = true;
      await this.stop();
    } else if (this.#watcher === null && entries <= (this.#wasCrowded ? MOST_ENTRIES / 2 : MOST_ENTRIES)) {
      this.start();
    }
  }

  start(): void {
    const { directory, onHint, log } = this.#request;
    this.#watcher = watch(directory, {
      // A directory's own files are the scan's; one level tells that a directory is being filled.
      depth: 1,
      ignoreInitial: true,
      followSymlinks: false,
      ignorePermissionErrors: true,
      // A watch for each file would cost 5 kB of memory each and say nothing that the directory's own watch
      // does not.
      ignored: (_path, stats) => stats?.isFile() === true,
    });
    // Before chokidar compares listings: that takes it as long as the scan, which is to do it anyway.
    this.#watcher.on('raw', (_event, path, details) => {
      const inside = relative(directory, join(watchedPath(details) ?? directory, path ?? ''));
      onHint(inside.split('/')[0] ?? '');
    });
    // What changed after the last scan, before there was a watch.
    this.#watcher.on('ready', () => onHint(''));
    this.#watcher.on('error', (err) => {
      log.warn({ err, directory }, 'watching incoming failed, the periodic scan goes on');
    });
  }

  async stop(): Promise<void> {
    const watcher = this.#watcher;
    this.#watcher = null;
    await watcher?.close();
  }
}

/** chokidar's raw events name the watched directory in their details. */
function watchedPath(details: unknown): string | undefined {
  if (typeof details !== 'object' || details === null || !('watchedPath' in details)) return undefined;
  return typeof details.watchedPath === 'string' ? details.watchedPath : undefined;
}
