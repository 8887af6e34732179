import type { GuestWriter } from '../access/guest-writer.js';
import type { ExecuteContext } from './operation.js';
import { kindOf, type Operation } from './registry.js';

export interface Execution extends ExecuteContext {
  onStep?(done: number, operation: Operation): void;
}

/**
 * Executes the operations in order, stopping at the first failure. Returns what was read back and checked.
 */
export async function executeOperations(
  guest: GuestWriter,
  operations: readonly Operation[],
  execution: Execution,
): Promise<string[]> {
  const proofs: string[] = [];
  for (const [index, operation] of operations.entries()) {
    execution.signal.throwIfAborted();
    execution.onStep?.(index, operation);
    proofs.push(...(await kindOf(operation).execute(guest, operation, execution)));
  }
  return proofs;
}
