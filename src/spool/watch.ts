import { relative } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { Logger } from 'pino';

export interface WatchRequest {
  directory: string;
  /** Names that are no drops: they cost no watch. */
  isIgnored(name: string): boolean;
  /** Something happened to this name in incoming, or inside it: look soon. */
  onHint(name: string): void;
  log: Logger;
}

/**
 * inotify, by chokidar, only as a hint that makes a drop noticed at once: what is there is decided by the scan. Events get lost (a full inotify queue,
 * network filesystems), and that costs at most one polling interval.
 */
export class IncomingWatch {
  readonly #request: WatchRequest;
  #watcher: FSWatcher | null = null;

  constructor(request: WatchRequest) {
    this.#request = request;
  }

  start(): void {
    const { directory, isIgnored, onHint, log } = this.#request;
    this.#watcher = watch(directory, {
      // A directory's own files are looked at by the scan; one level tells that a directory is being filled.
      depth: 1,
      ignoreInitial: true,
      followSymlinks: false,
      ignorePermissionErrors: true,
      ignored: (path) => path !== directory && isIgnored(path.slice(path.lastIndexOf('/') + 1)),
    });
    this.#watcher.on('all', (_event, path) => onHint(relative(directory, path).split('/')[0] ?? ''));
    this.#watcher.on('error', (err) => {
      log.warn({ err, directory }, 'watching incoming failed, the periodic scan goes on');
    });
  }

  async stop(): Promise<void> {
    await this.#watcher?.close();
    this.#watcher = null;
  }
}
