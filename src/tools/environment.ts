import { ownerEnvironment } from './orphans.js';

/** How systemd lets the service's main process speak to it (sd_notify(3), sd_watchdog_enabled(3)). */
const SERVICE_ONLY = { NOTIFY_SOCKET: undefined, WATCHDOG_PID: undefined, WATCHDOG_USEC: undefined };

/**
 * Returns what every program that is started here has in its environment, over that of this process: whose it
 * is, and nothing with which it could speak for the service. An `undefined` takes a variable away.
 */
export function programEnvironment(): Record<string, string | undefined> {
  return { ...SERVICE_ONLY, ...ownerEnvironment() };
}
