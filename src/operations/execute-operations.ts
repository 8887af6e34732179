import type { GuestWriter } from '../access/guest-writer.js';
import type { ExecuteContext } from './operation.js';
import { kindOf, type Operation } from './registry.js';

export interface Execution extends ExecuteContext {
  onStep?(done: number, operation: Operation): void;
}

/**
 * Executes the operations in order, stopping at the first failure. Whatever their kinds can check in the guest is
 * checked for all of them before the first one changes it.
 * Returns what was read back and checked.
 */
export async function executeOperations(
  guest: GuestWriter,
  operations: readonly Operation[],
  execution: Execution,
): Promise<string[]> {
  const steps = merged(operations);
  for (const { operation } of steps) {
    execution.signal.throwIfAborted();
    await kindOf(operation).check?.(guest, operation);
  }
  const proofs: string[] = [];
  let done = 0;
  for (const { operation, count } of steps) {
    execution.signal.throwIfAborted();
    execution.onStep?.(done, operation);
    proofs.push(...(await kindOf(operation).execute(guest, operation, execution)));
    done += count;
  }
  return proofs;
}

/** Returns operations that do the same, each with how many of the given ones it stands for. */
function merged(operations: readonly Operation[]): { operation: Operation; count: number }[] {
  const steps: { operation: Operation; count: number }[] = [];
  for (const operation of operations) {
    const last = steps.at(-1);
    const both =
      last?.operation.op === operation.op ? kindOf(operation).merge?.(last.operation, operation) : null;
    if (last === undefined || both == null) steps.push({ operation, count: 1 });
    else steps[steps.length - 1] = { operation: both, count: last.count + 1 };
  }
  return steps;
}
