import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ControlClient } from '../../../src/api/client.js';
import { type DaemonEvent, daemonEventSchema } from '../../../src/api/events.js';
import { controlRoutes } from '../../../src/api/routes.js';
import { ControlServer } from '../../../src/api/server.js';
import type { WaitingView } from '../../../src/daemon/drop-obstacles.js';
import type { JobParts } from '../../../src/daemon/process-job.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import { silent } from '../engine/fakes.js';
import { enqueue, scratchDirectory, scratchQueue } from '../queue/scratch.js';
import { daemonParts, spoolConfig } from './support.js';

/** A daemon's parts behind a real socket, and a client of it that has read `open`. */
async function following(runPipeline?: JobParts['runPipeline']) {
  const directory = scratchDirectory();
  const config = spoolConfig(directory);
  const parts = daemonParts(
    scratchQueue(directory),
    config,
    runPipeline === undefined ? {} : { runPipeline },
  );
  const socket = join(directory, 's');
  const server = new ControlServer(
    socket,
    controlRoutes(parts.operations, async () => ''),
    silent,
  );
  await server.start();
  onTestFinished(() => server.stop());
  onTestFinished(() => parts.worker.stop());
  const leave = new AbortController();
  const stream = new ControlClient(socket).events(leave.signal);
  const next = async (): Promise<DaemonEvent> => {
    const { value } = await stream.next();
    // What is in the schema, and nothing else.
    expect(daemonEventSchema.parse(value)).toEqual(value);
    return value as DaemonEvent;
  };
  expect(await next()).toEqual({ event: 'open', version: '1.2.3' });
  const until = async (isLast: (event: DaemonEvent) => boolean) => {
    const events: DaemonEvent[] = [];
    for (let event = await next(); ; event = await next()) {
      events.push(event);
      if (isLast(event)) return events;
    }
  };
  return { ...parts, work: config.spool.work, next, until, leave, stream };
}

describe('GET /v1/events', () => {
  it('tells a job from its claim to its end', async () => {
    const { queue, worker, work, until } = await following(async ({ onEvent }) => {
      await onEvent({ type: 'stage-waiting', stage: 'convert', lane: 'conversions' });
      await onEvent({ type: 'stage-started', stage: 'convert', attempt: 1 });
      const progress = { percent: 50, bytesPerSecond: 7, step: 'writing' };
      void onEvent({ type: 'progress', stage: 'convert', progress });
      const error = errorRecord(new Hyper2kvmError('fetch.corrupt', 'as the test wants it'));
      return {
        ...{ outputs: {}, sourceId: null, records: [], error, failedStage: 'convert', cancelled: false },
      };
    });
    mkdirSync(join(work, 'j1', 'source'), { recursive: true });
    await enqueue(queue, 'j1');
    worker.start();
    const events = await until((event) => event.event === 'job:changed' && event.job.state === 'failed');
    const jobs = events.flatMap((event) => (event.event === 'job:changed' ? [event.job] : []));
    expect(jobs[0]).toMatchObject({ job: 'j1', state: 'queued', waiting_for: 'a free job slot' });
    expect(jobs.at(-1)).toMatchObject({ error: { code: 'fetch.corrupt' }, finished_at: expect.any(String) });
    expect(events).toContainEqual({
      ...{ event: 'job:progress', job: 'j1', stage: 'convert', step: 'writing', percent: 50 },
      ...{ bytes_per_second: 7, eta_seconds: expect.any(Number), waiting_for: null },
    });
  });

  it('tells of the queue and of drops', async () => {
    const { operations, events, next } = await following();
    await operations.pause();
    expect(await next()).toEqual({ event: 'queue:paused', reason: 'operator' });
    await operations.resume();
    expect(await next()).toEqual({ event: 'queue:resumed', reason: 'operator' });
    await operations.drain();
    expect(await next()).toEqual({ event: 'queue:draining' });
    const drop = { name: 'a.vmdk', vm: 'a', entries: [], options: null, waiting: null, refused: null };
    const view: WaitingView = {
      waiting: { drop, states: [], quietSeconds: 1, due: false },
      waitingFor: 'settling, 9 s',
    };
    events.emit('drop:waiting', view);
    expect(await next()).toMatchObject({
      event: 'drop:waiting',
      drop: { job: '', drop: 'a.vmdk', state: 'waiting', waiting_for: 'settling, 9 s' },
    });
    events.emit('drop:gone', 'a.vmdk');
    expect(await next()).toEqual({ event: 'drop:gone', drop: 'a.vmdk' });
  });

  it('keeps of what a client has not read only the last of each job', async () => {
    const { operations, progress } = await following();
    const stream = operations.events(new AbortController().signal)[Symbol.asyncIterator]();
    await stream.next();
    for (let percent = 0; percent <= 100; percent += 1)
      for (const job of ['j1', 'j2'])
        progress.apply(job, { type: 'progress', stage: 'convert', progress: { percent } });
    const told = [(await stream.next()).value, (await stream.next()).value];
    expect(told).toMatchObject([
      { job: 'j1', percent: 100 },
      { job: 'j2', percent: 100 },
    ]);
    await stream.return?.();
  });

  it('ends with its client, and nobody is told any more', async () => {
    const { events, leave, stream } = await following();
    const listeners = () => events.eventNames().reduce((sum, name) => sum + events.listenerCount(name), 0);
    expect(listeners()).toBeGreaterThan(0);
    leave.abort();
    expect((await stream.next()).done).toBe(true);
    await expect.poll(listeners).toBe(0);
  });
});
