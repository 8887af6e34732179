import { Hyper2kvmError } from '../errors/error.js';

/**
 * What `work` gives, unless it takes longer than `seconds` (`spool.too-slow`) or `signal` is aborted before:
 * then nobody waits for it any more, even where the system never answers (a dead network filesystem), and the
 * signal that it was given is aborted.
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
