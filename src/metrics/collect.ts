import { dirname } from 'node:path';
import type { Status } from '../api/protocol.js';
import type { Config } from '../config/schema.js';
import { freeBytes } from '../files/space.js';
import type { QueueStore, StageTotal } from '../queue/store.js';
import { exposition, type Metric } from './exposition.js';

export interface MetricParts {
  queue: QueueStore;
  config(): Config;
  status(): Promise<Pick<Status, 'version' | 'jobs' | 'paused_reason'>>;
}

/**
 * Returns the daemon's metrics as text. They come from the queue's records, so they persist over restarts.
 */
export async function collectMetrics({ queue, config, status }: MetricParts): Promise<string> {
  const free = await freeByDirectory(config());
  const { version, jobs, paused_reason } = await status();
  const totals = await queue.statistics.stageTotals();
  const notifications = await queue.outbox.counts();
  const since = await queue.statistics.oldestQueued();
  const boots = await queue.statistics.boots();
  const perStage = (name: string, help: string, value: (total: StageTotal) => number): Metric => ({
    name: `hyper2kvm_stage_${name}_total`,
    type: 'counter',
    help,
    samples: totals.map((total) => ({
      labels: { stage: total.stage, status: total.status },
      value: value(total),
    })),
  });
  return exposition([
    gauge('build_info', 'The daemon that answers.', [{ labels: { version }, value: 1 }]),
    gauge(
      'jobs',
      'Jobs by state; waiting counts drops that are not jobs yet.',
      Object.entries(jobs).map(([state, value]) => ({ labels: { state }, value })),
    ),
    gauge('queue_depth', 'Jobs waiting to start.', [{ value: jobs.queued }]),
    gauge('queue_oldest_wait_seconds', 'Waiting time of the longest-waiting job.', [
      { value: since === null ? 0 : Math.max(0, (Date.now() - Date.parse(since)) / 1000) },
    ]),
    gauge(
      'queue_paused',
      'Whether the queue is paused, by reason.',
      ['operator', 'space'].map((reason) => ({
        labels: { reason },
        value: paused_reason === reason ? 1 : 0,
      })),
    ),
    perStage('runs', 'Runs of a stage by outcome.', ({ runs }) => runs),
    perStage('seconds', 'Total duration of the runs of a stage.', ({ seconds }) => seconds),
    perStage('read_bytes', 'Bytes read by the runs of a stage.', ({ bytes_read }) => bytes_read),
    perStage('written_bytes', 'Bytes written by the runs of a stage.', ({ bytes_written }) => bytes_written),
    gauge(
      'boots',
      'Jobs by the verdict of their last boot.',
      boots.map(({ verdict, count }) => ({ labels: { verdict }, value: count })),
    ),
    gauge('free_bytes', 'Free space on the filesystem of a directory.', free),
    {
      name: 'hyper2kvm_notifications_total',
      type: 'counter',
      help: 'Notifications by receiver and outcome.',
      samples: notifications
        .filter(({ outcome }) => outcome !== 'pending')
        .map(({ target, outcome, count }) => ({ labels: { target, outcome }, value: count })),
    },
    gauge(
      'notifications_pending',
      'Notifications not delivered yet.',
      notifications
        .filter(({ outcome }) => outcome === 'pending')
        .map(({ target, count }) => ({ labels: { target }, value: count })),
    ),
  ]);
}

function gauge(name: string, help: string, samples: Metric['samples']): Metric {
  return { name: `hyper2kvm_${name}`, type: 'gauge', help, samples };
}

/** A directory that does not exist at present (incoming is not mounted) has no sample. */
async function freeByDirectory({ spool, state }: Config): Promise<Metric['samples']> {
  const directories = new Set([...Object.values(spool), dirname(state.database)]);
  const found = [...directories].map((directory) =>
    freeBytes(directory).then(
      (value) => [{ labels: { directory }, value }],
      () => [],
    ),
  );
  return (await Promise.all(found)).flat();
}
