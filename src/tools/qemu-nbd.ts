import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import { socketDirectory } from '../files/scratch.js';
import { WEEK_SECONDS } from '../host/durations.js';
import { NbdClient } from './nbd-client.js';
import { run } from './run.js';
import { sandboxPrefix } from './sandbox.js';

export interface ServedImage {
  /** Absolute. */
  file: string;
  format: string;
  isWritable: boolean;
  /** As in `ToolOptions`. */
  sees?: readonly string[];
}

/** As for qemu-img: its own code and buffers, and the tables of large images. */
const MEMORY_LIMIT = 4 * 1024 ** 3;
const START_SECONDS = 60;
const POLL_MILLISECONDS = 10;
/** For a server that has closed the connection to end. */
const END_MILLISECONDS = 5_000;

/**
 * Opens an image by qemu-nbd, which ends with `work`. What was flushed is durable when this resolves. Rejects
 * with the errors of `run`, of the client and of `work`, and with the signal's reason, when `work` has ended, too:
 * it must not go on once its disk rejects.
 */
export async function withServedImage<T>(
  { file, format, isWritable, sees = [] }: ServedImage,
  signal: AbortSignal,
  work: (disk: NbdClient) => Promise<T>,
): Promise<T> {
  const sockets = await socketDirectory();
  const socket = join(sockets, 'nbd');
  const stop = new AbortController();
  const own = dirname(file);
  const server = run(
    'qemu-nbd',
    [`--socket=${socket}`, `--format=${format}`, ...(isWritable ? [] : ['--read-only']), file],
    {
      limits: { memoryBytes: MEMORY_LIMIT },
      timeoutSeconds: WEEK_SECONDS,
      signal: AbortSignal.any([signal, stop.signal]),
      wrapper: await sandboxPrefix({
        readable: [...(isWritable ? [] : [own]), ...sees],
        writable: [sockets, ...(isWritable ? [own] : [])],
      }),
    },
  );
  // Awaited below; until then its failure is only noticed.
  server.catch(() => undefined);
  let disk: NbdClient | null = null;
  let working: Promise<T> | null = null;
  try {
    disk = await connected(socket, server);
    working = work(disk);
    const result = await Promise.race([working, ended(server)]);
    await disk.disconnect();
    await server;
    return result;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    disk?.destroy();
    stop.abort();
    await server.catch(() => undefined);
    // It may have opened another image, whose server must have ended before anybody else writes to that.
    await working?.catch(() => undefined);
    await rm(sockets, { recursive: true, force: true });
  }
}

async function connected(socket: string, server: Promise<unknown>): Promise<NbdClient> {
  const end = performance.now() + START_SECONDS * 1000;
  for (;;) {
    try {
      return await NbdClient.connect(socket);
    } catch (error) {
      if (!isErrorCode(error, 'ENOENT', 'ECONNREFUSED')) {
        // qemu-nbd listens before it opens the image: what it says of that is more than that it is gone.
        await Promise.race([sleep(END_MILLISECONDS, undefined, { ref: false }), ended(server)]);
        throw error;
      }
    }
    if (performance.now() > end)
      throw new Hyper2kvmError('tool.timeout', `qemu-nbd did not start in ${START_SECONDS} s`, {
        retryable: true,
      });
    await Promise.race([sleep(POLL_MILLISECONDS), ended(server)]);
  }
}

/** Rejects when the server has ended, which it must not do while it is used. */
async function ended(server: Promise<unknown>): Promise<never> {
  await server;
  throw new Hyper2kvmError('tool.failed', 'qemu-nbd ended too early');
}
