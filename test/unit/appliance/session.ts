import type { ApplianceSession } from '../../../src/appliance/session.js';

/**
 * A session that answers by `answers` and keeps each call with its arguments in `calls`. A call without an
 * answer fails.
 */
export function answeringSession(answers: Record<string, (...args: never[]) => unknown>): {
  session: ApplianceSession;
  calls: unknown[][];
} {
  const calls: unknown[][] = [];
  const call = async (name: string, ...args: never[]) => {
    calls.push([name, ...args]);
    const answer = answers[name];
    if (answer === undefined) throw new Error(`not expected: ${name}`);
    return answer(...args);
  };
  return { session: { call } as unknown as ApplianceSession, calls };
}
