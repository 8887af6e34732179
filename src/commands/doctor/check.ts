import type { Config } from '../../config/schema.js';
import { errorRecord } from '../../errors/error.js';

export interface Finding {
  name: string;
  status: 'ok' | 'warn' | 'fail';
  /** What was found. */
  detail: string;
  /** The command or the setting that fixes it; empty if there is nothing to fix. */
  fix: string;
}

interface HostContext {
  config: Config;
  env: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
}

/** Checks one concern of the host without changing anything. Rejects only if the signal aborts. */
export type Check = (context: HostContext) => Promise<Finding[]>;

export const ok = (name: string, detail: string): Finding => ({ name, status: 'ok', detail, fix: '' });
export const warn = (name: string, detail: string, fix: string): Finding => ({
  name,
  status: 'warn',
  detail,
  fix,
});
export const fail = (name: string, detail: string, fix: string): Finding => ({
  name,
  status: 'fail',
  detail,
  fix,
});

/** Returns the detail of a successful probe, or the finding for its error. */
export async function probe(name: string, fix: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return ok(name, await look());
  } catch (error) {
    const { message, causes } = errorRecord(error);
    return fail(name, [message, ...causes.slice(-1)].join(': '), fix);
  }
}
