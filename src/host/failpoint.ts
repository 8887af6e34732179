import { STAGE_NAMES } from '../model/stage-names.js';

const STAGE_EDGES = ['running', 'before-checkpoint', 'after-checkpoint'] as const;
/** For any stage, including third-party ones. */
type StageEdge = `stage.${string}.${(typeof STAGE_EDGES)[number]}`;

const OTHERS = [
  // A drop becomes a job: intent recorded; first name moved; all moved; (other filesystem) copied; an
  // original hidden; all hidden; queued, to be removed; undone.
  'claim.recorded',
  'claim.moved-first',
  'claim.moved',
  'claim.copied',
  'claim.original-hidden',
  'claim.originals-removed',
  'claim.committed',
  'claim.undone',
  // A job ends: outcome recorded; source and scratch moved together; (other filesystem) copied; published;
  // scratch removed.
  'finish.decided',
  'finish.before-publish',
  'publish.copied',
  'finish.before-removal',
  'finish.before-commit',
  // `retry`: scratch moved back; source moved back; the failed directory removed.
  'reopen.scratch-moved',
  'reopen.source-moved',
  'reopen.removed',
  // A warm job: its base is prepared, the job not parked yet; one file of the delta is beside the base; all are;
  // (CONVERT) the first changed area is on the copy of the base.
  'warm.before-park',
  'warm.delta-moving',
  'warm.delta-moved',
  'warm.committing',
  // A start: schema changed but not committed; interrupted jobs queued again.
  'migrate.before-commit',
  'recover.requeued',
] as const;

/**
 * Places where a test makes the daemon die as by kill -9, between an effect and its record. Disabled unless
 * HYPER2KVM_FAILPOINT names one; production never sets it. The fault campaign (test/lab/faults/inject.ts)
 * covers the edges in between, at each single call that changes something.
 */
export type Failpoint = StageEdge | (typeof OTHERS)[number];

export const FAILPOINTS: readonly Failpoint[] = [
  ...STAGE_NAMES.flatMap((stage) => STAGE_EDGES.map((edge) => `stage.${stage}.${edge}` as const)),
  ...OTHERS,
];

const armed = process.env.HYPER2KVM_FAILPOINT;

export function failpoint(name: Failpoint): void {
  if (armed === name) process.kill(process.pid, 'SIGKILL');
}
