import type { Hyper2kvmError } from '../errors/error.js';
import type { NodeChild } from '../tools/node-child.js';
import { callError, diedError, timeoutError } from './errors.js';
import type { CallRequest, CloseRequest, LaunchRequest, Reply } from './messages.js';

type Message = Omit<LaunchRequest, 'id'> | Omit<CallRequest, 'id'> | Omit<CloseRequest, 'id'>;

/**
 * Sends requests to the appliance child and receives their replies. Rejects with the result of `callError`
 * for a failed call, `guest.timeout`, `guest.died`, the signal's reason.
 */
export function openChannel(child: NodeChild, signal: AbortSignal) {
  const waiting = new Map<
    number,
    { resolve(value: unknown): void; reject(error: unknown): void; call: string }
  >();
  let next = 1;
  let gone: string | undefined;
  let failure: Hyper2kvmError | undefined;
  const lost = (call: string, how: string) =>
    signal.aborted ? signal.reason : (failure ?? diedError(call, how, child.stderr()));
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
    for (const call of waiting.values()) call.reject(lost(call.call, how));
    waiting.clear();
  });

  return {
    /** Stops the appliance at once; every current and later call fails with this error. */
    fail(error: Hyper2kvmError): void {
      failure ??= error;
      child.kill();
    },
    request(message: Message, call: string, timeoutSeconds: number): Promise<unknown> {
      if (gone !== undefined) return Promise.reject(lost(call, gone));
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
