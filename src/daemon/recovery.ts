import { rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import { sweepSocketDirectories } from '../files/scratch.js';
import { failpoint } from '../host/failpoint.js';
import type { Queue } from '../queue/queue.js';
import { finishClaims } from '../spool/claim.js';
import { partialName } from '../spool/publish.js';
import { endOrphans } from '../tools/orphans.js';

/**
 * Brings the directories and the queue together again after whatever ended the last daemon: half claims are
 * finished or undone, running jobs go back into the queue (their checkpoints and outcomes say where they go
 * on). What jobs that are done have left is the sweeper's.
 */
export async function recover(config: Config, queue: Queue, log: Logger): Promise<void> {
  for (const { pid, command } of await endOrphans())
    log.warn({ pid, command }, 'program of a process that is gone was killed');
  await sweepSocketDirectories();
  const claimed = await finishClaims(queue, config.spool, (claim, err) =>
    log.warn({ drop: claim.dropName, err }, 'interrupted claim cannot be finished yet'),
  );
  for (const job of claimed) log.warn({ job: job.job, drop: job.dropName }, 'interrupted claim finished');
  for (const job of queue.jobs.list({ states: ['running'] })) {
    const crashes = job.crashes + 1;
    queue.jobs.requeue(job.job, { crashes });
    log.warn({ job: job.job, vm: job.vm, stage: job.stage, crashes }, 'interrupted job resumes');
  }
  failpoint('recover.requeued');
  for (const job of queue.jobs.list({ states: ['queued'] })) {
    if (job.directory !== null) await rm(partialName(job.directory), { recursive: true, force: true });
  }
}
