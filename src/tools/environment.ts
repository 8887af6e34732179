import { ownerEnvironment } from './orphans.js';

/**
 * The variables by which systemd lets the service's main process talk to it (sd_notify(3),
 * sd_watchdog_enabled(3)).
 */
const SERVICE_ONLY = { NOTIFY_SOCKET: undefined, WATCHDOG_PID: undefined, WATCHDOG_USEC: undefined };

/**
 * Returns the changes to this process's environment for every program that it starts: the owner's mark is
 * added, and everything by which a program could speak for the service is removed (`undefined`).
 */
export function programEnvironment(): Record<string, string | undefined> {
  return { ...SERVICE_ONLY, ...ownerEnvironment() };
}
