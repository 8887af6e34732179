import { rm } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import { sweepSocketDirectories } from '../files/scratch.js';
import { failpoint } from '../host/failpoint.js';
import type { QueueStore } from '../queue/store.js';
import { finishClaims } from '../spool/claim.js';
import { partialName } from '../spool/publish.js';
import { endOrphans } from '../tools/orphans.js';

/**
 * Brings the directories and the queue together again after whatever ended the last daemon: half claims are
 * finished or undone, this owner's running jobs go back into the queue (their checkpoints and outcomes say
 * where they continue). What jobs that are done have left is the sweeper's.
 */
export async function recover(config: Config, queue: QueueStore, log: Logger): Promise<void> {
  for (const { pid, command } of await endOrphans())
    log.warn({ pid, command }, 'program of a process that is gone was killed');
  await sweepSocketDirectories();
  const claimed = await finishClaims(queue, config.spool, (claim, err) =>
    log.warn({ drop: claim.dropName, err }, 'interrupted claim cannot be finished yet'),
  );
  for (const job of claimed) log.warn({ job: job.job, drop: job.dropName }, 'interrupted claim finished');
  for (const { job, vm, stage, crashes } of await queue.runs.requeueInterrupted())
    log.warn({ job, vm, stage, crashes }, 'interrupted job resumes');
  failpoint('recover.requeued');
  for await (const job of queue.jobs.queued()) {
    if (job.directory !== null) await rm(partialName(job.directory), { recursive: true, force: true });
  }
}
