import { isFile } from '../../access/guest-reader.js';
import type { GuestWriter } from '../../access/guest-writer.js';
import { GUEST_THREAD, runInThread } from '../../host/thread.js';
import type { AfterPlan, AfterRequest, Planned, ProofPathsRequest } from './thread.js';

const THREAD = new URL('./thread.js', import.meta.url);

/**
 * Runs the fixers' proofs and works out what the boot test needs, in a thread because the guest's texts may
 * be hostile. Nothing is proved of a guest that is null: it is not changed. Throws `fix.unproven`.
 */
export async function provePlan(
  guest: GuestWriter | null,
  planned: Planned,
  signal: AbortSignal,
): Promise<AfterPlan> {
  const inThread = <Result>(request: ProofPathsRequest | AfterRequest) =>
    runInThread<Result>(THREAD, request, { ...GUEST_THREAD, signal });
  if (guest === null) return inThread({ ...planned, task: 'after', read: null });
  const read = new Map<string, Buffer | null>();
  for (const path of await inThread<string[]>({ ...planned, task: 'proof-paths' }))
    read.set(path, (await isFile(guest, path)) ? await guest.read(path) : null);
  return inThread({ ...planned, task: 'after', read });
}
