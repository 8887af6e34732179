import { isFile } from '../access/guest-reader.js';
import type { GuestWriter } from '../access/guest-writer.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { Outcome } from './operation.js';
import { kindOf, type Operation } from './registry.js';

/** Reads every changed, removed or copied file back from the guest and compares it. Throws `fix.unproven`. */
export async function proveOutcomes(guest: GuestWriter, operations: readonly Operation[]): Promise<string[]> {
  const outcomes = new Map<string, Outcome['content']>();
  for (const operation of operations) {
    const outcome = kindOf(operation).outcome?.(operation) ?? null;
    if (outcome !== null) outcomes.set(outcome.path, outcome.content);
  }
  for (const [path, content] of outcomes) {
    const difference = await differenceAt(guest, path, content);
    if (difference !== null) throw unproven(path, difference);
  }
  return outcomes.size === 0 ? [] : [`${outcomes.size} changed files read back as planned`];
}

async function differenceAt(
  guest: GuestWriter,
  path: string,
  content: Outcome['content'],
): Promise<string | null> {
  const isThere = await isFile(guest, path);
  if (content === null) return isThere ? 'it still exists' : null;
  if (!isThere) return 'it does not exist';
  const isCopy = !Buffer.isBuffer(content);
  const expected = isCopy ? await guest.read(content.copyOf) : content;
  if ((await guest.read(path)).equals(expected)) return null;
  return isCopy ? `it is not the same as ${content.copyOf}` : 'its content differs';
}

export function unproven(path: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError('fix.unproven', `${path} differs from the plan after writing: ${why}`);
}
