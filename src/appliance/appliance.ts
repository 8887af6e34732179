import { realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GuestRequest } from '../access/guest-access.js';
import { socketDirectory } from '../files/scratch.js';
import { orFullDisk } from '../files/space.js';
import { type Accelerator, demote, probeAccelerator } from '../machine/accelerator.js';
import { QmpClient } from '../machine/qmp.js';
import { startNodeChild } from '../tools/node-child.js';
import { createImage } from '../tools/qemu-img.js';
import { sandboxPrefix } from '../tools/sandbox.js';
import { buildAppliance } from './build.js';
import { openChannel } from './channel.js';
import { addLayer, traffic } from './disks.js';
import { diedError, diskError } from './errors.js';
import type { ApplianceSession } from './session.js';

export interface Appliance extends ApplianceSession {
  /** Shuts down cleanly: filesystems are unmounted, and the overlays are complete on disk. */
  close(): Promise<void>;
  /** Stops at once, with everything it started; resolves when all of it has exited. */
  kill(): Promise<void>;
}

/** Usually half a minute without KVM, more on a busy machine. */
const LAUNCH_TIMEOUT_SECONDS = 900;
/**
 * Largest file that the appliance's processes may write: an overlay, the appliance's own 4 GiB root, or what
 * a hostile guest sends out.
 */
const FILE_BYTES = 8 * 1024 ** 3;
/**
 * Kernel option that turns off the CPU's feature `erms` (word 9, bit 9): with it, the kernel clears pages byte by byte
 * (`rep stosb`), which emulation is eight times slower at. Numbers are understood by every kernel.
 */
const WITHOUT_ERMS = `clearcpuid=${9 * 32 + 9}`;

/**
 * Launches the job's appliance on new overlays (`fix-disk<N>.qcow2`) over the flat images; what an earlier
 * session wrote is discarded. If a KVM launch fails, TCG is tried once. Errors: `guest.launch-failed`,
 * `guest.timeout`, `guest.died`.
 */
export async function launchAppliance(request: GuestRequest): Promise<Appliance> {
  const accelerator =
    request.options.validate.accelerator === 'auto'
      ? (await probeAccelerator({ signal: request.signal })).kind
      : request.options.validate.accelerator;
  return withoutKvm((kind) => launch(request, kind), accelerator, request);
}

/**
 * Tries again without KVM if a start with KVM fails. KVM is abandoned for the whole process only if that
 * works, because a full disk or a missing package is not KVM's fault.
 */
export async function withoutKvm<T>(
  start: (kind: Accelerator['kind']) => Promise<T>,
  accelerator: Accelerator['kind'],
  { signal, log }: Pick<GuestRequest, 'signal' | 'log'>,
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

async function launch(request: GuestRequest, accelerator: 'kvm' | 'tcg'): Promise<Appliance> {
  const started = performance.now();
  const { workDirectory, drop, options, signal, log } = request;
  const overlays = request.disks.map((_, index) => `fix-disk${index}.qcow2`);
  for (const [index, disk] of request.disks.entries()) {
    await rm(join(workDirectory, overlays[index]!), { force: true });
    await createImage(
      {
        file: join(workDirectory, overlays[index]!),
        format: 'qcow2',
        backing: { file: join(workDirectory, disk), format: 'qcow2' },
      },
      { signal, sees: drop },
    );
  }
  const cacheDirectory = process.env.LIBGUESTFS_CACHEDIR ?? process.env.CACHE_DIRECTORY ?? '/var/tmp';
  const appliance = await buildAppliance(cacheDirectory, join(workDirectory, 'supermin'), signal);
  const scratch = await socketDirectory();
  const wrapper = await sandboxPrefix({
    readable: [...(await ownProgram()), appliance, ...drop],
    writable: [workDirectory, scratch],
    devices: ['/dev/kvm'],
    temporary: true,
  });
  const child = startNodeChild(fileURLToPath(new URL('./child.js', import.meta.url)), {
    env: {
      LIBGUESTFS_BACKEND: 'direct',
      LIBGUESTFS_BACKEND_SETTINGS: accelerator === 'tcg' ? 'force_tcg' : '',
      ...(accelerator === 'tcg' && process.arch === 'x64' ? { LIBGUESTFS_APPEND: WITHOUT_ERMS } : {}),
      LIBGUESTFS_PATH: appliance,
      // Its cache of what it knows about QEMU is created each time, so that no job can leave something for
      // the next one.
      LIBGUESTFS_CACHEDIR: scratch,
      TMPDIR: scratch,
      // libguestfs puts its own sockets there, except for root (guestfs_get_sockdir(3)): they must be removed
      // with the scratch directory if the child is killed.
      XDG_RUNTIME_DIR: scratch,
    },
    fileBytes: FILE_BYTES,
    wrapper,
  });
  const channel = openChannel(child, signal);
  const release = () => rm(scratch, { recursive: true, force: true });
  void child.ended.then(release, release);
  const qmpSocket = join(scratch, 'qmp');
  const monitoring = new AbortController();
  let qmp: QmpClient;
  /** True between launch and close; at other times a closed monitor is expected. */
  let isInUse = false;
  try {
    // Connected at once and not after the launch, whose writes may meet a full disk too.
    const connecting = QmpClient.connect(qmpSocket, {
      signal: AbortSignal.any([signal, monitoring.signal]),
      timeoutSeconds: LAUNCH_TIMEOUT_SECONDS,
    }).then((client) => {
      client.on('event', (event) => {
        const failure = diskError(event);
        if (failure !== null) channel.fail(failure);
      });
      client.once('close', () => {
        if (isInUse) channel.fail(diedError('a call', 'its QEMU exited', ''));
      });
      return client;
    });
    // If both fail, the launch has the reason.
    connecting.catch(() => undefined);
    await channel.request(
      {
        type: 'launch',
        disks: overlays.map((overlay, index) => ({
          file: join(workDirectory, overlay),
          format: 'qcow2',
          sectorSize: request.sectorSizes?.[index] ?? 512,
        })),
        memoryMib: options.guest.memory_mib,
        smp: options.guest.smp,
        qmpSocket,
        cacheDirectory: scratch,
      },
      'launch',
      LAUNCH_TIMEOUT_SECONDS,
    );
    qmp = await connecting;
    isInUse = true;
  } catch (error) {
    monitoring.abort();
    child.kill();
    await child.ended;
    signal.throwIfAborted();
    throw error;
  }
  log.info({ seconds: round((performance.now() - started) / 1000), accelerator }, 'appliance launched');

  return {
    overlays,
    call: async (name, ...args) => {
      try {
        return (await channel.request(
          { type: 'call', name, args },
          name,
          options.guest.timeout_seconds,
        )) as never;
      } catch (error) {
        throw signal.aborted ? error : await orFullDisk(error, workDirectory);
      }
    },
    addLayer: (suffix) => addLayer(qmp, workDirectory, overlays, suffix),
    traffic: () => traffic(qmp),
    async close() {
      isInUse = false;
      qmp.close();
      await channel.request({ type: 'close' }, 'shutdown', options.guest.timeout_seconds);
      await child.ended;
      await release();
    },
    async kill() {
      isInUse = false;
      qmp.close();
      child.kill();
      await child.ended;
    },
  };
}

/** Returns Node, this program and its modules, wherever they are installed. */
async function ownProgram(): Promise<string[]> {
  const code = ['..', '../../package.json'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const [above] = fileURLToPath(import.meta.resolve('koffi')).split('/node_modules/koffi/');
  const paths = [...code, `${above}/node_modules`, process.execPath];
  return [...new Set([...paths, ...(await Promise.all(paths.map((path) => realpath(path))))])];
}

const round = (seconds: number) => Math.round(seconds * 10) / 10;
