import { parentPort, Worker, workerData } from 'node:worker_threads';
import { isErrorCode } from '../errors/errno.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';

/**
 * Limits for processing a guest's texts in a thread: patterns that a hostile guest makes slow must not block
 * the daemon.
 */
export interface ThreadLimits {
  /** Time for the thread's own work, not counting the time for answers to its requests. */
  seconds: number;
  /** For the thread's JavaScript heap. */
  memoryMib: number;
  signal: AbortSignal;
}

/**
 * For a job's guest. A real one is planned in a second or two on an idle host; its snapshot has at most 48
 * MiB.
 */
export const GUEST_THREAD = { seconds: 180, memoryMib: 1024 } as const;

type Answer<Result> = { result: Result } | { error: ErrorRecord; errno: number | null };
interface Question {
  id: number;
  question: unknown;
}

interface ThreadExtras {
  /** Transferred, not copied. */
  transfer?: ArrayBuffer[];
  /** Answers the thread's requests (`askParent`). */
  reply?(question: unknown): Promise<unknown>;
}

/**
 * Runs one of our modules in a thread with `input` (a structured clone), and returns what its `answerThread`
 * returns or throws. Own errors: `guest.too-slow`, `guest.too-complex`, the signal's reason.
 */
export async function runInThread<Result>(
  module: URL,
  input: unknown,
  { seconds, memoryMib, signal }: ThreadLimits,
  { transfer = [], reply = noReply }: ThreadExtras = {},
): Promise<Result> {
  signal.throwIfAborted();
  const thread = new Worker(module, {
    workerData: input,
    transferList: transfer,
    resourceLimits: { maxOldGenerationSizeMb: memoryMib },
  });
  const ended = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let onAbort = () => {};
  try {
    const answer = await new Promise<Answer<Result>>((resolve, reject) => {
      const startTimer = () => {
        if (!ended.signal.aborted) timer = setTimeout(() => reject(tooSlow(seconds)), seconds * 1000);
      };
      let open = 0;
      thread.on('message', async (message: Answer<Result> | Question) => {
        if (!('question' in message)) return resolve(message);
        clearTimeout(timer);
        open += 1;
        const answer = await answerOf(() => reply(message.question));
        open -= 1;
        thread.postMessage({ id: message.id, answer });
        if (open === 0) startTimer();
      });
      thread.once('error', (cause) =>
        reject(isErrorCode(cause, 'ERR_WORKER_OUT_OF_MEMORY') ? outOfMemory(memoryMib, cause) : cause),
      );
      thread.once('exit', (code) => reject(new Error(`the thread exited with code ${code} and no answer`)));
      startTimer();
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort);
    });
    return resultOf(answer);
  } finally {
    ended.abort();
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    await thread.terminate();
  }
}

/** For the thread's module: answers with the result of `work` on the input. */
export async function answerThread<Input>(work: (input: Input) => unknown): Promise<void> {
  parentPort?.postMessage(await answerOf(() => work(workerData as Input)));
}

const asked = new Map<number, (answer: Answer<unknown>) => void>();
let questions = 0;

/** For the thread's module: returns what `reply` of `runInThread` returns, or rejects with its error. */
export async function askParent(question: unknown): Promise<unknown> {
  if (questions === 0) {
    parentPort?.on('message', ({ id, answer }: { id: number; answer: Answer<unknown> }) => {
      asked.get(id)?.(answer);
      asked.delete(id);
    });
  }
  const id = questions++;
  const answer = new Promise<Answer<unknown>>((resolve) => asked.set(id, resolve));
  parentPort?.postMessage({ id, question } satisfies Question);
  const result = resultOf(await answer);
  // A Buffer arrives as a plain Uint8Array.
  return result instanceof Uint8Array
    ? Buffer.from(result.buffer, result.byteOffset, result.byteLength)
    : result;
}

async function answerOf(work: () => unknown): Promise<Answer<unknown>> {
  try {
    return { result: await work() };
  } catch (error) {
    return { error: errorRecord(error), errno: error instanceof Hyper2kvmError ? error.errno : null };
  }
}

function resultOf<Result>(answer: Answer<Result>): Result {
  if ('result' in answer) return answer.result;
  const { code, message, advice, retryable, causes } = answer.error;
  const cause = causes.reduceRight<Error | undefined>(
    (inner, text) => new Error(text, { cause: inner }),
    undefined,
  );
  const errno = answer.errno ?? undefined;
  throw Hyper2kvmError.of(code, message, {
    advice,
    retryable,
    cause,
    ...(errno === undefined ? {} : { errno }),
  });
}

async function noReply(): Promise<never> {
  throw new Error('nobody answers this thread');
}

function tooSlow(seconds: number): Hyper2kvmError {
  return new Hyper2kvmError(
    'guest.too-slow',
    `the guest’s configuration could not be processed in ${seconds} s`,
  );
}

function outOfMemory(memoryMib: number, cause: unknown): Hyper2kvmError {
  return new Hyper2kvmError(
    'guest.too-complex',
    `the guest’s configuration could not be processed in ${memoryMib} MiB of memory`,
    { cause },
  );
}
