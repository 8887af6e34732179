import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { type ErrorRecord, Hyper2kvmError } from '../../../errors/error.js';
import type { UndoRecord } from '../../../model/undo.js';
import type { SourceContext } from '../../base/source.js';
import type { Release } from '../release.js';
import type { Land } from '../remote-source.js';
import { isSameRecord, type UndoBook, undoingOf } from '../transports/base/undoing.js';
import { type LandEvent, type LandRequest, landEventSchema, releaseAnswerSchema } from './protocol.js';

/** How often the size that was reserved may turn out to be too small: of a file that is still written to. */
const MOST_GROWTHS = 5;
const MOST_ROUNDS = 4 * MOST_GROWTHS;

/** Returns the way to land a VM by the fetching unit on that socket, which has the network. */
export function landByUnit(socket: string, book: UndoBook): Land {
  return async (source, context) => {
    const { job, signal } = context;
    let reserved = 0;
    let growths = 0;
    let fresh: UndoRecord[] = [];
    for (let round = 0; growths < MOST_GROWTHS && round < MOST_ROUNDS; round += 1) {
      const { known } = await undoingOf(job.id, book);
      const body: LandRequest = { job: job.id, source, reserved, undo: [...known], fresh };
      const answer = await ask(socket, '/v1/land', body, signal);
      const last = await follow(answer, context, book);
      if (last.event === 'landed') return last.facts;
      const isIn = (records: readonly UndoRecord[], record: UndoRecord) =>
        records.some((one) => isSameRecord(one, record));
      const earlier = known.filter((record) => !isIn(fresh, record));
      fresh = last.event === 'makes' ? last.undo.filter((record) => !isIn(earlier, record)) : [];
      if (last.event === 'makes') {
        await book.add(job.id, last.undo);
        continue;
      }
      growths += 1;
      reserved = last.bytes;
      await context.reserve(last.bytes, { written: last.written, atLeast: true });
    }
    throw new Hyper2kvmError('remote.interrupted', 'the files of the VM grow while they are asked for', {
      advice: 'Wait until nothing writes to them on the server any more, then `hyper2kvm retry` the job.',
      retryable: true,
    });
  };
}

/** Returns the way to undo by the fetching unit what it has made. Rejects with `remote.unreachable`. */
export function releaseByUnit(socket: string): Release {
  return async (job, records, { signal }) => {
    const answer = await ask(socket, '/v1/release', { job, undo: records }, signal);
    let text = '';
    try {
      for await (const chunk of answer) text += (chunk as Buffer).toString('utf8');
      return releaseAnswerSchema.parse(JSON.parse(text)).released;
    } catch (error) {
      throw signal.aborted ? signal.reason : ended(error);
    }
  };
}

function ask(
  socket: string,
  path: '/v1/land' | '/v1/release',
  body: object,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socket, method: 'POST', path, signal }, resolve);
    asked.once('error', (cause) => reject(signal.aborted ? signal.reason : noUnit(socket, cause)));
    asked.end(JSON.stringify(body));
  });
}

/** Passes on what the unit reports, until its last line. */
async function follow(
  answer: IncomingMessage,
  context: SourceContext,
  book: UndoBook,
): Promise<Extract<LandEvent, { event: 'landed' | 'needs' | 'makes' }>> {
  try {
    for await (const line of createInterface({ input: answer, crlfDelay: Number.POSITIVE_INFINITY })) {
      const event = landEventSchema.parse(JSON.parse(line));
      if (event.event === 'landed' || event.event === 'needs' || event.event === 'makes') return event;
      if (event.event === 'undone') await book.remove(context.job.id, event.undo);
      else if (event.event === 'failed') throw errorOf(event.error);
      else pass(event, context);
    }
  } catch (error) {
    context.signal.throwIfAborted();
    if (error instanceof Hyper2kvmError) throw error;
    throw ended(error);
  } finally {
    answer.destroy();
  }
  context.signal.throwIfAborted();
  throw ended();
}

function pass(
  event: Exclude<LandEvent, { event: 'landed' | 'needs' | 'makes' | 'undone' | 'failed' }>,
  { progress, advanced, account, log }: SourceContext,
): void {
  if (event.event === 'progress') progress(event.progress);
  else if (event.event === 'advanced') advanced();
  else if (event.event === 'account') account(event);
  else log[event.level](event.facts, event.text);
}

function errorOf({ code, message, advice, retryable, causes }: ErrorRecord): Hyper2kvmError {
  const cause = causes.reduceRight<Error | undefined>(
    (inner, text) => new Error(text, { cause: inner }),
    undefined,
  );
  return Hyper2kvmError.of(code, message, { advice, retryable, cause });
}

function noUnit(socket: string, cause: Error): Hyper2kvmError {
  return new Hyper2kvmError('remote.unreachable', `the fetching unit does not answer on ${socket}`, {
    advice: 'Start it: `systemctl enable --now hyper2kvm-fetch`. The daemon itself has no network.',
    retryable: true,
    cause,
  });
}

function ended(cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('remote.interrupted', 'the fetching unit ended during the transfer', {
    advice: 'It continues when the unit runs again: `systemctl status hyper2kvm-fetch` shows why it ended.',
    retryable: true,
    cause,
  });
}
