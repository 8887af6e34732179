import { STAGE_NAMES } from '../model/stage-names.js';

const STAGE_EDGES = ['running', 'before-checkpoint', 'after-checkpoint'] as const;
/** Of any stage, those of extensions too. */
type StageEdge = `stage.${string}.${(typeof STAGE_EDGES)[number]}`;

const OTHERS = [
  // A drop becomes a job: intent recorded; first name moved; all moved; (other filesystem) copied; an
  // original hidden; all hidden; queued, to be removed; taken back.
  'claim.recorded',
  'claim.moved-first',
  'claim.moved',
  'claim.copied',
  'claim.original-hidden',
  'claim.originals-removed',
  'claim.committed',
  'claim.undone',
  // A job's end: outcome recorded; source and scratch moved together; (other filesystem) copied; published;
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
  // A start: the schema changed, not committed; interrupted jobs back in the queue.
  'migrate.before-commit',
  'recover.requeued',
] as const;

/**
 * Places where a test lets the daemon die as by kill -9: between an effect and the record of it. Off unless
 * HYPER2KVM_FAILPOINT names one; production never sets it. Edges in between, each single call that changes
 * something, are the fault campaign's (test/lab/faults/inject.ts).
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
