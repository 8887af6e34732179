import { join, relative } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { Logger } from 'pino';

export interface WatchRequest {
  directory: string;
  /** Something happened to this name in incoming, or inside it, so a scan is due soon. */
  onHint(name: string): void;
  log: Logger;
}

/**
 * With more entries there is no watch: on each change chokidar lists the directory and stats every entry,
 * which with thousands of them takes all of the daemon's I/O.
 */
const MAX_ENTRIES = 2_000;

/**
 * Watches incoming by chokidar (inotify), only as a hint that makes the daemon notice a drop at once; the
 * scan decides what is there. A lost event (a full inotify queue, network filesystems) costs at most one
 * polling interval.
 */
export class IncomingWatch {
  readonly #request: WatchRequest;
  #watcher: FSWatcher | null = null;
  #wasCrowded = false;

  constructor(request: WatchRequest) {
    this.#request = request;
  }

  /** Watches unless there are too many entries, and again once half of them are gone. */
  async follow(entries: number): Promise<void> {
    if (this.#watcher !== null && entries > MAX_ENTRIES) {
      this.#wasCrowded = true;
      await this.stop();
    } else if (this.#watcher === null && entries <= (this.#wasCrowded ? MAX_ENTRIES / 2 : MAX_ENTRIES)) {
      this.start();
    }
  }

  start(): void {
    const { directory, onHint, log } = this.#request;
    this.#watcher = watch(directory, {
      // The scan reads the files in a directory; one level is enough to notice that it is being filled.
      depth: 1,
      ignoreInitial: true,
      followSymlinks: false,
      ignorePermissionErrors: true,
      // A watch for each file would cost 5 kB of memory and report nothing that the directory's own watch
      // does not.
      ignored: (_path, stats) => stats?.isFile() === true,
    });
    // Raw events come before chokidar compares listings, which takes as long as the scan that follows anyway.
    this.#watcher.on('raw', (_event, path, details) => {
      const inside = relative(directory, join(watchedPath(details) ?? directory, path ?? ''));
      onHint(inside.split('/')[0] ?? '');
    });
    // Changes between the last scan and the start of the watch.
    this.#watcher.on('ready', () => onHint(''));
    this.#watcher.on('error', (err) => {
      log.warn({ err, directory }, 'watching incoming failed; the periodic scan continues');
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
