import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import { refusedName } from '../disk/base/names.js';
import type { Job } from '../model/job.js';
import type { Claim } from '../queue/claim.js';
import { newJobId } from '../queue/ids.js';
import type { QueueStore } from '../queue/store.js';
import { claimDrop } from '../spool/claim.js';
import type { WaitingDrop } from '../spool/scan.js';
import { isDue } from '../spool/settle.js';
import { waitingText } from '../spool/waiting-text.js';
import { within } from '../spool/within.js';
import { hasWriter } from '../spool/writers.js';
import { printable } from '../text/escape-terminal.js';
import type { Admission, Applicant } from './admission.js';
import { dropNeeds } from './drop-needs.js';
import { type FoundBase, findBase, mayBeDelta } from './find-base.js';

export interface ClaimParts {
  config(): Config;
  queue: QueueStore;
  admission: Admission;
  log: Logger;
  /** Reads the drop once more and returns whether it is unchanged. */
  confirm(waiting: WaitingDrop): Promise<boolean>;
  /** Whether another drop may be copied from another filesystem now. */
  mayCopy(): boolean;
}

/** A claim that is being copied. */
export interface Copy {
  /** Id of the job that it becomes. */
  job: string;
  claimed: Promise<Job>;
}

/** The job that a drop has become, or what it still waits for. A running copy need not be awaited. */
type ClaimResult = { job: Job } | { waitsFor: string; copy?: Copy };

/** Time to find out whether a drop is still written to, what its job.toml says, and what it will need. */
const CHECK_SECONDS = 10;

/**
 * Claims a drop that is due, unless there is an obstacle now. What has changed since the base of a parked job
 * joins it. Rejects with the error of the drop or of the claim; the claim may then be half done, and
 * `finishClaims` must be called.
 */
export async function tryToClaim(
  waiting: WaitingDrop,
  parts: ClaimParts,
  signal: AbortSignal,
): Promise<ClaimResult> {
  const { admission } = parts;
  const { drop, states } = waiting;
  const config = parts.config();
  const { incoming } = config.spool;
  if (states.some(({ entry }) => entry.type === 'unnamed')) throw refusedName(drop.name);
  if (!(await admission.mayClaim()))
    return { waitsFor: admission.isDraining ? 'the queue is draining' : 'the queue is paused' };
  if (!(await parts.confirm(waiting))) return { waitsFor: 'settling' };
  const base = await findBase(drop, incoming, config.spool.work, { queue: parts.queue, signal });
  const obstacle = baseObstacle(waiting, base, config);
  if (obstacle !== null) return { waitsFor: obstacle };
  const needs = await within(CHECK_SECONDS, signal, async (ended) => {
    if (drop.refused === null && (await hasWriter(incoming, states, ended))) return null;
    return dropNeeds(drop, states, config, ended);
  });
  if (needs === null) return { waitsFor: 'still open for writing' };
  const { vm, isWarm } = needs;
  const refused = base?.kind === 'refused' ? base.error : needs.refused;
  if (!needs.isMoved && !parts.mayCopy()) return { waitsFor: 'other drops are being copied' };
  const reservedBytes = refused === null ? await admission.bytesToReserve(states, needs) : 0;
  const applicant: Applicant = { kind: 'drop', id: drop.name };
  if (!(await admission.hasRoom(applicant, reservedBytes)))
    return { waitsFor: admission.spaceText(applicant) ?? 'space' };
  return take(
    claimOf(waiting, {
      vm,
      refused,
      isWarm,
      reservedBytes,
      joins: base?.kind === 'parked' ? base.job.job : undefined,
    }),
    parts,
    signal,
  );
}

/**
 * Returns what a drop waits for that lacks files, until it has waited long enough to be refused for that. What has
 * changed since a base waits that long, too, for the other disks of its VM: joining ends with the delivery.
 */
function baseObstacle(
  { drop, quietSeconds }: WaitingDrop,
  base: FoundBase | null,
  { watch }: Config,
): string | null {
  if (base?.kind === 'preparing') return `its base, which is still being prepared (job ${base.job.job})`;
  if (base?.kind === 'parked' && base.lacks === null) return null;
  if (!mayBeDelta(drop) || isDue(drop, quietSeconds, watch.settle_seconds)) return null;
  if (base?.kind === 'parked')
    return `a newer state of ${printable(base.lacks ?? '')}, or the VM’s description`;
  return base?.kind === 'refused' ? `${base.error.code}: ${base.error.message}` : waitingText(drop);
}

async function take(
  claim: Claim,
  { queue, config, log }: ClaimParts,
  signal: AbortSignal,
): Promise<ClaimResult> {
  let onCopy = () => {};
  const copying = new Promise<null>((resolve) => {
    onCopy = () => resolve(null);
  });
  const claimed = claimDrop(queue, config().spool, claim, signal, onCopy).then((job) => {
    const { vm, dropName, entries, reservedBytes } = claim;
    const facts = { job: job.job, vm, drop: dropName, entries: entries.length };
    log.info({ ...facts, reserved_bytes: reservedBytes }, 'drop claimed');
    return job;
  });
  const job = await Promise.race([copying, claimed]);
  if (job !== null) return { job };
  return { waitsFor: 'being copied from another filesystem', copy: { job: claim.job, claimed } };
}

function claimOf(
  { drop, states }: WaitingDrop,
  needs: Pick<Claim, 'vm' | 'refused' | 'isWarm' | 'joins' | 'reservedBytes'>,
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
