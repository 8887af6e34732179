import { applyOperations } from '../../fixers/apply.js';
import { evidenceOperations } from '../../fixers/evidence.js';
import type { Guest } from '../../fixers/fixer.js';
import { type BootFile, bootFiles } from '../../fixers/linux/boot-files.js';
import { expectedNetwork } from '../../fixers/linux/network.js';
import type { Operation } from '../../fixers/operation.js';
import { readSnapshot } from '../../guest/snapshot.js';
import { answerThread } from '../../host/thread.js';
import { type GuestTexts, proofsOfNames } from './prove-names.js';

/** `snapshot` is the absolute path of INSPECT's file. */
export type FixRequest =
  | { task: 'after'; snapshot: string; operations: readonly Operation[]; identity: Guest['identity'] }
  | { task: 'names'; texts: GuestTexts };

/** The guest as it is after the plan: its files with kernel command lines, and what the boot test adds to it. */
export interface AfterPlan {
  boot: BootFile[];
  /** Where /etc/fstab really is. */
  fstab: string;
  /** The addresses that it configures for itself. */
  network: ReturnType<typeof expectedNetwork>;
  evidence: ReturnType<typeof evidenceOperations>;
}

await answerThread(async (request: FixRequest): Promise<AfterPlan | string[]> => {
  if (request.task === 'names') return proofsOfNames(request.texts);
  const tree = applyOperations(await readSnapshot(request.snapshot), request.operations);
  return {
    boot: bootFiles(tree),
    fstab: tree.resolve('/etc/fstab') ?? '/etc/fstab',
    network: expectedNetwork(tree),
    evidence: evidenceOperations(tree, request.identity),
  };
});
