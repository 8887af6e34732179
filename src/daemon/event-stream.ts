import type { DaemonEvent } from '../api/events.js';
import type { JobSummary } from '../api/protocol.js';
import type { Job } from '../model/job.js';
import type { DaemonEvents, EventBus } from './events.js';
import { waitingSummary } from './views.js';

/**
 * The line that clients get for an event, and its subject: a later event about the same subject replaces one
 * that is still waiting.
 */
interface StreamLine {
  about: string;
  line(): DaemonEvent | Promise<DaemonEvent>;
}

type Summarise = (job: Job) => Promise<JobSummary>;

const TELL: {
  [Name in keyof DaemonEvents]: (summarise: Summarise, ...event: DaemonEvents[Name]) => StreamLine;
} = {
  'job:changed': (summarise, job) => ({
    about: `job:changed ${job.job}`,
    line: async () => ({ event: 'job:changed', job: await summarise(job) }),
  }),
  'job:progress': (_, job, { stage, step, percent, bytesPerSecond, etaSeconds, waitingFor }) => ({
    about: `job:progress ${job}`,
    line: () => ({
      event: 'job:progress',
      ...{ job, stage, step, percent },
      ...{ bytes_per_second: bytesPerSecond, eta_seconds: etaSeconds, waiting_for: waitingFor },
    }),
  }),
  'drop:waiting': (_, view) => ({
    about: `drop ${view.waiting.drop.name}`,
    line: () => ({ event: 'drop:waiting', drop: waitingSummary(view) }),
  }),
  'drop:gone': (_, drop) => ({ about: `drop ${drop}`, line: () => ({ event: 'drop:gone', drop }) }),
  'queue:paused': (_, reason) => ({ about: 'queue', line: () => ({ event: 'queue:paused', reason }) }),
  'queue:resumed': (_, reason) => ({ about: 'queue', line: () => ({ event: 'queue:resumed', reason }) }),
  'queue:draining': () => ({ about: 'queue', line: () => ({ event: 'queue:draining' }) }),
};

/**
 * Yields events from now on, until the signal aborts. A slow reader gets fewer events, and memory does not
 * grow.
 */
export async function* eventStream(
  events: EventBus,
  version: string,
  summarise: Summarise,
  signal: AbortSignal,
): AsyncGenerator<DaemonEvent> {
  const waiting = new Map<string, StreamLine>();
  let wake: () => void = () => {};
  const stops = (Object.keys(TELL) as (keyof DaemonEvents)[]).map((name) =>
    listen(events, name, summarise, (streamLine) => {
      // Moved to the end, because its content is new.
      waiting.delete(streamLine.about);
      waiting.set(streamLine.about, streamLine);
      wake();
    }),
  );
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    yield { event: 'open', version };
    while (!signal.aborted) {
      const [next] = waiting.values();
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      waiting.delete(next.about);
      yield await next.line();
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    for (const stop of stops) stop();
  }
}

function listen<Name extends keyof DaemonEvents>(
  events: EventBus,
  name: Name,
  summarise: Summarise,
  tell: (streamLine: StreamLine) => void,
): () => void {
  const listener = (...event: DaemonEvents[Name]) => tell(TELL[name](summarise, ...event));
  // Node's types do not relate a listener to the event of its name.
  const typed = listener as Parameters<typeof events.on<Name>>[1];
  events.on(name, typed);
  return () => void events.off(name, typed);
}
