import { readSnapshot } from '../../appliance/snapshot.js';
import type { Guest } from '../../families/base/fixer.js';
import { type BootFile, bootFiles } from '../../families/linux/command-line-files.js';
import { evidenceOperations } from '../../families/linux/evidence.js';
import { expectedNetwork } from '../../families/linux/network.js';
import { answerThread } from '../../host/thread.js';
import type { Operation } from '../../model/operation.js';
import { applyOperations } from '../../operations/apply.js';
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
