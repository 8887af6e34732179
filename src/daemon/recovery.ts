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
 * Makes directories and queue consistent again after a crash or a stop: half claims are finished or undone,
 * and this owner's running jobs are queued again (their checkpoints and outcomes say where they continue).
 * What finished jobs left behind is left to the sweeper.
 */
export async function recover(config: Config, queue: QueueStore, log: Logger): Promise<void> {
  for (const { pid, command } of await endOrphans())
    log.warn({ pid, command }, 'killed a program whose parent process is gone');
  await sweepSocketDirectories();
  const claimed = await finishClaims(queue, config.spool, (claim, err) =>
    log.warn({ drop: claim.dropName, err }, 'interrupted claim cannot be finished yet'),
  );
  for (const job of claimed) log.warn({ job: job.job, drop: job.dropName }, 'interrupted claim finished');
  for (const { job, vm, stage, crashes } of await queue.runs.requeueInterrupted())
    log.warn({ job, vm, stage, crashes }, 'resuming interrupted job');
  failpoint('recover.requeued');
  for await (const job of queue.jobs.queued()) {
    if (job.directory !== null) await rm(partialName(job.directory), { recursive: true, force: true });
  }
}
