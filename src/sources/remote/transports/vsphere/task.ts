import { setTimeout as sleep } from 'node:timers/promises';
import { childrenNamed, type XmlElement } from '../../../../disk/ovf/xml.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { faultOfLocalized } from './faults.js';
import { referenceOf, retrieve } from './properties.js';
import { type Session, textOf } from './session.js';

const FIRST_POLL_MILLISECONDS = 50;
const SLOWEST_POLL_MILLISECONDS = 2_000;
const LONGEST_MILLISECONDS = 120_000;

/**
 * Waits for the task that a method has answered with, and returns its result. Throws `VsphereFault` for one that
 * failed, and `remote.timeout`.
 */
export async function resultOf(
  session: Session,
  answer: XmlElement | undefined,
  what: string,
  signal: AbortSignal,
): Promise<XmlElement | undefined> {
  const task = referenceOf(answer);
  if (task === null) throw late(what);
  const until = performance.now() + LONGEST_MILLISECONDS;
  for (let wait = FIRST_POLL_MILLISECONDS; ; wait = Math.min(wait * 2, SLOWEST_POLL_MILLISECONDS)) {
    const [content] = await retrieve(session, [task], ['info'], signal);
    const info = content?.properties.get('info');
    const state = textOf(info, 'state');
    if (state === 'success') return childrenNamed(info, 'result')[0];
    const [error] = childrenNamed(info, 'error');
    if (state === 'error' && error !== undefined) throw faultOfLocalized(error, what);
    if (state === 'error' || performance.now() > until) throw late(what);
    await sleep(wait, undefined, { signal });
  }
}

function late(what: string): Hyper2kvmError {
  return new Hyper2kvmError('remote.timeout', `${what} has not ended within 2 minutes`, { retryable: true });
}
