import type { ConnectReader, GuestPort } from '../../access/guest-access.js';
import { answerThread, askParent } from '../../host/thread.js';
import { type InspectGuestRequest, inspectGuest } from './inspect-guest.js';

/** Crosses to the thread as a structured clone. */
export interface InspectRequest extends InspectGuestRequest {
  port: Omit<GuestPort, 'answer'>;
}

/** A request from the thread. */
export type InspectQuestion = { guest: unknown } | { progress: { percent: number; step: string } };

const ask = (question: InspectQuestion) => askParent(question);

await answerThread(async ({ port, ...request }: InspectRequest) => {
  const { connectReader } = (await import(port.module)) as { connectReader: ConnectReader };
  const reader = connectReader(port.settings, (guest) => ask({ guest }));
  // A Buffer arrives as a plain Uint8Array.
  const keys = request.keys.map((key) => ({ ...key, key: Buffer.from(key.key) }));
  return inspectGuest(reader, { ...request, keys }, (progress) => void ask({ progress }));
});
