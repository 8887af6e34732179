import type { GuestPort } from '../../access/guest-access.js';
import type { Progress } from '../../engine/stage.js';
import { GUEST_THREAD, runInThread } from '../../host/thread.js';
import type { InspectGuestRequest } from './inspect-guest.js';
import type { InspectOutput } from './output.js';
import type { InspectQuestion, InspectRequest } from './thread.js';

const THREAD = new URL('./thread.js', import.meta.url);
/** Each initramfs is listed in a further thread, which has 600 s. */
const THREAD_SECONDS = 900;

/** Inspects the guest behind `port` in a thread, because its contents may be hostile. */
export function inspectInThread(
  { module, settings, answer }: GuestPort,
  request: InspectGuestRequest,
  { signal, progress }: { signal: AbortSignal; progress(progress: Progress): void },
): Promise<InspectOutput> {
  const whole: InspectRequest = { ...request, port: { module, settings } };
  const reply = async (message: unknown) => {
    const asked = message as InspectQuestion;
    if ('guest' in asked) return answer(asked.guest);
    return progress(asked.progress as Progress);
  };
  const limits = { ...GUEST_THREAD, seconds: THREAD_SECONDS, signal };
  return runInThread<InspectOutput>(THREAD, whole, limits, { reply });
}
