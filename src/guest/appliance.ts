import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import { type Accelerator, demote, probeAccelerator } from '../host/accelerator.js';
import { socketDirectory } from '../host/scratch.js';
import { type NodeChild, startNodeChild } from '../tools/node-child.js';
import { createImage } from '../tools/qemu-img.js';
import { QmpClient } from '../tools/qmp.js';
import { addLayer, traffic } from './appliance-disks.js';
import { callError, diedError, timeoutError } from './appliance-errors.js';
import type { CallRequest, CloseRequest, LaunchRequest, Reply } from './appliance-messages.js';
import type { ApplianceSession } from './session.js';

export interface ApplianceRequest {
  /** File names in the work directory: FLATTEN's images, qcow2, never written. */
  disks: readonly string[];
  workDirectory: string;
  options: Config;
  signal: AbortSignal;
  log: Logger;
}

export interface Appliance extends ApplianceSession {
  /** Clean shutdown: filesystems unmounted, overlays complete on disk. */
  close(): Promise<void>;
  /** At once, with everything it started; resolves when all of it is gone. */
  kill(): Promise<void>;
}

/** supermin builds the appliance into its cache the first time: under a minute here, more on a busy machine. */
const LAUNCH_TIMEOUT_SECONDS = 900;
/** Largest file that the appliance's processes may write: an overlay, the appliance's own 4 GiB root, what a hostile guest sends out. */
const FILE_BYTES = 8 * 1024 ** 3;

/**
 * Launches the job's appliance on fresh overlays (`fix-disk<N>.qcow2`) over the flat images; what an earlier session wrote is thrown away. A KVM
 * launch that fails is tried once more with TCG. Errors: `guest.launch-failed`, `guest.timeout`, `guest.died`.
 */
export async function openAppliance(request: ApplianceRequest): Promise<Appliance> {
  const accelerator =
    request.options.validate.accelerator === 'auto'
      ? (await probeAccelerator({ signal: request.signal })).kind
      : request.options.validate.accelerator;
  return withoutKvm((kind) => launch(request, kind), accelerator, request);
}

/**
 * KVM that fails is tried once more without. It is given up for the whole process only when that works: a full disk or a missing package is no fault of
 * KVM's.
 */
export async function withoutKvm<T>(
  start: (kind: Accelerator['kind']) => Promise<T>,
  accelerator: Accelerator['kind'],
  { signal, log }: Pick<ApplianceRequest, 'signal' | 'log'>,
): Promise<T> {
  try {
    return await start(accelerator);
  } catch (error) {
    if (accelerator === 'tcg' || signal.aborted) throw error;
    log.warn({ err: error }, 'appliance did not start with KVM, trying software emulation');
    const started = await start('tcg');
    demote(`an appliance did not start with KVM: ${error instanceof Error ? error.message : String(error)}`);
    return started;
  }
}

async function launch(request: ApplianceRequest, accelerator: 'kvm' | 'tcg'): Promise<Appliance> {
  const started = performance.now();
  const { workDirectory, options, signal, log } = request;
  const overlays = request.disks.map((_, index) => `fix-disk${index}.qcow2`);
  for (const [index, disk] of request.disks.entries()) {
    await rm(join(workDirectory, overlays[index]!), { force: true });
    await createImage(
      {
        file: join(workDirectory, overlays[index]!),
        format: 'qcow2',
        backing: { file: join(workDirectory, disk), format: 'qcow2' },
      },
      { signal },
    );
  }
  const scratch = await socketDirectory();
  const cacheDirectory = process.env.LIBGUESTFS_CACHEDIR ?? process.env.CACHE_DIRECTORY ?? '/var/tmp';
  const child = startNodeChild(fileURLToPath(new URL('./appliance-child.js', import.meta.url)), {
    env: {
      LIBGUESTFS_BACKEND: 'direct',
      LIBGUESTFS_BACKEND_SETTINGS: accelerator === 'tcg' ? 'force_tcg' : '',
      LIBGUESTFS_CACHEDIR: cacheDirectory,
      TMPDIR: scratch,
      // libguestfs' own sockets go there, but for root (guestfs_get_sockdir(3)): they must go with the scratch when the child is killed.
      XDG_RUNTIME_DIR: scratch,
    },
    fileBytes: FILE_BYTES,
  });
  const channel = openChannel(child, signal);
  const release = () => rm(scratch, { recursive: true, force: true });
  void child.ended.then(release, release);
  const qmpSocket = join(scratch, 'qmp');
  let qmp: QmpClient;
  try {
    await channel.request(
      {
        type: 'launch',
        disks: overlays.map((overlay) => ({ file: join(workDirectory, overlay), format: 'qcow2' })),
        memoryMib: options.guest.memory_mib,
        smp: options.guest.smp,
        qmpSocket,
        cacheDirectory,
      },
      'launch',
      LAUNCH_TIMEOUT_SECONDS,
    );
    qmp = await QmpClient.connect(qmpSocket, { signal });
  } catch (error) {
    child.kill();
    await child.ended;
    signal.throwIfAborted();
    throw error;
  }
  const launchSeconds = (performance.now() - started) / 1000;
  log.info({ seconds: round(launchSeconds), accelerator }, 'appliance launched');

  return {
    accelerator,
    launchSeconds,
    overlays,
    call: (name, ...args) =>
      channel.request({ type: 'call', name, args }, name, options.guest.timeout_seconds) as never,
    addLayer: (suffix) => addLayer(qmp, workDirectory, overlays, suffix),
    traffic: () => traffic(qmp),
    async close() {
      qmp.close();
      await channel.request({ type: 'close' }, 'shutdown', options.guest.timeout_seconds);
      await child.ended;
      await release();
    },
    async kill() {
      qmp.close();
      child.kill();
      await child.ended;
    },
  };
}

type Message = Omit<LaunchRequest, 'id'> | Omit<CallRequest, 'id'> | Omit<CloseRequest, 'id'>;

function openChannel(child: NodeChild, signal: AbortSignal) {
  const waiting = new Map<
    number,
    { resolve(value: unknown): void; reject(error: unknown): void; call: string }
  >();
  let next = 1;
  let gone: string | undefined;
  const kill = () => child.kill();
  signal.addEventListener('abort', kill, { once: true });
  child.process.on('message', (reply: Reply) => {
    const call = waiting.get(reply.id);
    if (call === undefined) return;
    waiting.delete(reply.id);
    if (reply.ok) call.resolve(reply.result);
    else call.reject(callError(call.call, reply.message, reply.errno));
  });
  void child.ended.then((how) => {
    gone = how;
    signal.removeEventListener('abort', kill);
    for (const call of waiting.values())
      call.reject(signal.aborted ? signal.reason : diedError(call.call, how, child.stderr()));
    waiting.clear();
  });

  return {
    request(message: Message, call: string, timeoutSeconds: number): Promise<unknown> {
      if (gone !== undefined)
        return Promise.reject(signal.aborted ? signal.reason : diedError(call, gone, child.stderr()));
      const id = next++;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(id);
          child.kill();
          reject(timeoutError(call, timeoutSeconds));
        }, timeoutSeconds * 1000);
        const settle =
          <T>(then: (value: T) => void) =>
          (value: T) => {
            clearTimeout(timer);
            then(value);
          };
        waiting.set(id, { resolve: settle(resolve), reject: settle(reject), call });
        child.process.send({ ...message, id });
      });
    },
  };
}

const round = (seconds: number) => Math.round(seconds * 10) / 10;
