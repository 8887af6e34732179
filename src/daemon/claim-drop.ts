import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import { refusedName } from '../disk/base/names.js';
import type { Job } from '../model/job.js';
import type { Claim } from '../queue/claim.js';
import { newJobId } from '../queue/ids.js';
import type { QueueStore } from '../queue/store.js';
import { claimDrop } from '../spool/claim.js';
import type { WaitingDrop } from '../spool/scan.js';
import { within } from '../spool/within.js';
import { hasWriter } from '../spool/writers.js';
import type { Admission, Applicant } from './admission.js';
import { dropNeeds } from './drop-needs.js';

export interface ClaimParts {
  config(): Config;
  queue: QueueStore;
  admission: Admission;
  log: Logger;
  /** Reads the drop once more: whether it is still as it was. */
  confirm(waiting: WaitingDrop): Promise<boolean>;
}

/** The job that a drop has become, or what it still waits for. */
type ClaimResult = { job: Job } | { waitsFor: string };

/** For finding out whether a drop is still written to, what its job.toml says, and what it will need. */
const CHECK_SECONDS = 10;

/**
 * Claims a drop that is due, if nothing speaks against it now. Rejects with what is wrong with the drop or
 * with the claim; then the claim may be half done, and `finishClaims` has to be called.
 */
export async function tryToClaim(
  waiting: WaitingDrop,
  parts: ClaimParts,
  signal: AbortSignal,
): Promise<ClaimResult> {
  const { admission, queue, log } = parts;
  const { drop, states } = waiting;
  const config = parts.config();
  const { incoming } = config.spool;
  if (states.some(({ entry }) => entry.type === 'unnamed')) throw refusedName(drop.name);
  if (!(await admission.mayClaim()))
    return { waitsFor: admission.isDraining ? 'the queue is draining' : 'the queue is paused' };
  if (!(await parts.confirm(waiting))) return { waitsFor: 'settling' };
  const needs = await within(CHECK_SECONDS, signal, async (ended) => {
    if (drop.refused === null && (await hasWriter(incoming, states, ended))) return null;
    return dropNeeds(drop, states, config, ended);
  });
  if (needs === null) return { waitsFor: 'still open for writing' };
  const { vm, refused } = needs;
  const reservedBytes = refused === null ? await admission.bytesToReserve(states, needs) : 0;
  const applicant: Applicant = { kind: 'drop', id: drop.name };
  if (!(await admission.hasRoom(applicant, reservedBytes)))
    return { waitsFor: admission.spaceText(applicant) ?? 'space' };
  const claim = claimOf(waiting, { vm, refused, reservedBytes });
  const job = await claimDrop(queue, config.spool, claim, signal);
  const facts = { job: job.job, vm, drop: drop.name, entries: drop.entries.length };
  log.info({ ...facts, reserved_bytes: reservedBytes }, 'drop claimed');
  return { job };
}

function claimOf(
  { drop, states }: WaitingDrop,
  needs: Pick<Claim, 'vm' | 'refused' | 'reservedBytes'>,
): Claim {
  return {
    ...needs,
    job: newJobId(Date.now()),
    dropName: drop.name,
    entries: states.map(({ entry, device, inode, bornMs, fingerprint }) => ({
      name: entry.name,
      device,
      inode,
      bornMs,
      fingerprint,
    })),
    optionsFile: drop.options,
    phase: 'moving',
  };
}
