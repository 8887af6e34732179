import type { Evidence, NetworkExpectation } from '../../families/base/family.js';
import { proofPaths, proveFixers } from '../../families/prove.js';
import { familyOf } from '../../families/registry.js';
import { answerThread } from '../../host/thread.js';
import type { Identity } from '../../model/identity.js';
import { applyOperations } from '../../operations/apply-operations.js';
import type { Operation } from '../../operations/registry.js';

/** `snapshot` is the absolute path of INSPECT's file. */
export interface Planned {
  snapshot: string;
  operations: readonly Operation[];
  identity: Identity;
  /** Planned for a guest that still runs on its old hypervisor, by the fixers that are safe there. */
  isRunning: boolean;
}

/** Answered by the guest paths that the proofs read. */
export interface ProofPathsRequest extends Planned {
  task: 'proof-paths';
}

/** Answered by `AfterPlan`. `read` are those files as read back; null if nothing is to be proved. */
export interface AfterRequest extends Planned {
  task: 'after';
  read: ReadonlyMap<string, Uint8Array | null> | null;
}

/** The guest after the plan. */
export interface AfterPlan {
  proofs: string[];
  /** The addresses that it is configured for. */
  network: NetworkExpectation;
  /** What the boot test adds to it. */
  evidence: Evidence;
}

await answerThread(async (request: ProofPathsRequest | AfterRequest): Promise<AfterPlan | string[]> => {
  const { snapshot, operations, identity, isRunning } = request;
  const family = familyOf(identity);
  const before = await family.load(snapshot);
  const after = applyOperations({ identity, ...before }, operations);
  const proving = { fixers: family.fixers.filter(({ whileRunning }) => whileRunning || !isRunning) };
  if (request.task === 'proof-paths') return proofPaths(proving, after);
  const { read } = request;
  return {
    proofs:
      read === null
        ? []
        : proveFixers(proving, { before: before.tree, after, read: (path) => bufferOf(read.get(path)) }),
    network: family.network(after),
    evidence: family.evidence(after),
  };
});

/** A Buffer arrives from the other thread as plain bytes. */
function bufferOf(bytes: Uint8Array | null | undefined): Buffer | null {
  return bytes === null || bytes === undefined ? null : Buffer.from(bytes);
}
