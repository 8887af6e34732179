import { Hyper2kvmError } from '../errors/error.js';

/**
 * Returns the result of `work`, unless it takes longer than `seconds` (`spool.too-slow`) or `signal` is
 * aborted first. It is then abandoned, even if the system never answers (a dead network filesystem), and the
 * signal that was passed to it is aborted.
 */
export async function within<Result>(
  seconds: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  signal.throwIfAborted();
  const stop = new AbortController();
  const give = () => stop.abort(signal.reason);
  signal.addEventListener('abort', give);
  const timer = setTimeout(() => stop.abort(tooSlow(seconds)), seconds * 1000);
  try {
    const ended = new Promise<never>((_resolve, reject) => {
      stop.signal.addEventListener('abort', () => reject(stop.signal.reason));
    });
    return await Promise.race([work(stop.signal), ended]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', give);
  }
}

function tooSlow(seconds: number): Hyper2kvmError {
  return new Hyper2kvmError('spool.too-slow', `reading it takes longer than ${seconds} s`);
}
