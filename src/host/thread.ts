import { parentPort, Worker, workerData } from 'node:worker_threads';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';

/** What a guest's texts come to is decided in here: patterns that a hostile guest makes slow must not keep the daemon from answering. */
export interface ThreadLimits {
  seconds: number;
  /** Of the thread's JavaScript heap. */
  memoryMib: number;
  signal: AbortSignal;
}

/** For a job's guest. A real one is planned in a second or two on an idle host; its snapshot has 48 MiB at most. */
export const GUEST_THREAD = { seconds: 180, memoryMib: 1024 } as const;

type Answer<Result> = { result: Result } | { error: ErrorRecord };

/**
 * Runs a module of ours in a thread of its own with `input` (a structured clone; what is in `transfer` is given away), and gives what its `answerThread` returns or throws. Errors of its own: `guest.too-slow`,
 * `guest.too-complex`, the signal's reason.
 */
export async function runInThread<Result>(
  module: URL,
  input: unknown,
  { seconds, memoryMib, signal }: ThreadLimits,
  transfer: ArrayBuffer[] = [],
): Promise<Result> {
  signal.throwIfAborted();
  const thread = new Worker(module, {
    workerData: input,
    transferList: transfer,
    resourceLimits: { maxOldGenerationSizeMb: memoryMib },
  });
  let timer: NodeJS.Timeout | undefined;
  let onAbort = () => {};
  try {
    const answer = await new Promise<Answer<Result>>((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', (cause) => reject(isMemory(cause) ? outOfMemory(memoryMib, cause) : cause));
      thread.once('exit', (code) => reject(new Error(`the thread ended with code ${code} and no answer`)));
      timer = setTimeout(() => reject(tooSlow(seconds)), seconds * 1000);
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort);
    });
    if ('result' in answer) return answer.result;
    const { code, message, advice, retryable } = answer.error;
    throw Hyper2kvmError.of(code, message, { advice, retryable });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    await thread.terminate();
  }
}

/** In the thread's module: answers with what `work` makes of the input. */
export async function answerThread<Input>(work: (input: Input) => unknown): Promise<void> {
  let answer: Answer<unknown>;
  try {
    answer = { result: await work(workerData as Input) };
  } catch (error) {
    answer = { error: errorRecord(error) };
  }
  parentPort?.postMessage(answer);
}

function isMemory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
}

const ADVICE =
  'No real guest’s configuration takes as much: its files may be damaged or hostile. Convert it with fix.mode = "none".';

function tooSlow(seconds: number): Hyper2kvmError {
  return new Hyper2kvmError(
    'guest.too-slow',
    `the guest’s configuration could not be worked out in ${seconds} s`,
    { advice: ADVICE },
  );
}

function outOfMemory(memoryMib: number, cause: unknown): Hyper2kvmError {
  return new Hyper2kvmError(
    'guest.too-complex',
    `the guest’s configuration could not be worked out in ${memoryMib} MiB of memory`,
    { advice: ADVICE, cause },
  );
}
