import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hyper2kvmError } from '../errors/error.js';
import { socketDirectory } from '../files/scratch.js';
import { WEEK_SECONDS } from '../host/durations.js';
import { findProgram } from '../tools/find-program.js';
import { run } from '../tools/run.js';
import { sandboxPrefix } from '../tools/sandbox.js';
import { emulatorArguments, TPM_EMULATOR } from './tpm.js';

/** An emulated TPM whose state is thrown away. */
export interface TpmEmulator {
  /** Holds the socket, which QEMU has to reach. */
  directory: string;
  socket: string;
  /** Ends it and removes its state. Can be repeated. */
  stop(): Promise<void>;
}

const START_SECONDS = 10;
const POLL_MILLISECONDS = 20;

/**
 * Starts the emulator of a TPM 2.0. Returns null if it is not installed. Rejects with `qemu.start` if it does
 * not start.
 */
export async function startTpmEmulator(signal: AbortSignal): Promise<TpmEmulator | null> {
  if ((await findProgram(TPM_EMULATOR.program)) === null) return null;
  const directory = await socketDirectory();
  const socket = join(directory, 'tpm');
  const ending = new AbortController();
  let failure: unknown = null;
  const ended = run(TPM_EMULATOR.program, emulatorArguments(directory, socket), {
    signal: AbortSignal.any([signal, ending.signal]),
    timeoutSeconds: WEEK_SECONDS,
    wrapper: await sandboxPrefix({ writable: [directory] }),
  }).then(
    () => undefined,
    (error: unknown) => {
      failure = error;
    },
  );
  const stop = async () => {
    ending.abort();
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  for (const end = performance.now() + START_SECONDS * 1000; failure === null && performance.now() < end; ) {
    if (await exists(socket)) return { directory, socket, stop };
    await sleep(POLL_MILLISECONDS);
  }
  const cause = failure;
  await stop();
  signal.throwIfAborted();
  throw new Hyper2kvmError('qemu.start', `${TPM_EMULATOR.program} opened no socket`, { cause });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
