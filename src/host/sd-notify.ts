import koffi from 'koffi';

/**
 * systemd's notification protocol through libsystemd's own sd_notify(3). No program is started for a message, so `NotifyAccess=main` holds (the npm
 * package systemd-notify forks one for each and knows only READY and STATUS). Does nothing without $NOTIFY_SOCKET.
 */
export interface Notifier {
  ready(): void;
  /** One line for `systemctl status`. Sent when it changed, at most once a second. */
  status(text: string): void;
  watchdog(): void;
  reloading(): void;
  stopping(): void;
  /** So much time from now before systemd loses its patience (sd_notify(3), EXTEND_TIMEOUT_USEC). */
  extendTimeout(seconds: number): void;
}

type Environment = Readonly<Record<string, string | undefined>>;
const STATUS_INTERVAL_MS = 1_000;

/** `send` (one message of the protocol) and `now` (milliseconds) are for tests. */
export function createNotifier(
  env: Environment,
  send: (state: string) => void = env.NOTIFY_SOCKET === undefined ? () => {} : loadSdNotify(),
  now: () => number = () => performance.now(),
): Notifier {
  let shown = '';
  let wanted = '';
  let sentAt = Number.NEGATIVE_INFINITY;
  let isScheduled = false;
  const flush = () => {
    isScheduled = false;
    if (wanted === shown) return;
    shown = wanted;
    sentAt = now();
    send(`STATUS=${shown}`);
  };
  return {
    ready: () => send('READY=1'),
    status(text) {
      // A line break would begin another assignment of the protocol.
      wanted = text.replaceAll(/[\r\n]+/g, ' ');
      const wait = sentAt + STATUS_INTERVAL_MS - now();
      if (isScheduled) return;
      isScheduled = wait > 0;
      if (isScheduled) setTimeout(flush, wait).unref();
      else flush();
    },
    watchdog: () => send('WATCHDOG=1'),
    // systemd.service(5), Type=notify-reload: the time tells this reload from an earlier one.
    reloading: () => send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => send('STOPPING=1'),
    extendTimeout: (seconds) => send(`EXTEND_TIMEOUT_USEC=${seconds * 1_000_000}`),
  };
}

function loadSdNotify(): (state: string) => void {
  const notify = koffi
    .load('libsystemd.so.0')
    .func('int sd_notify(int unset_environment, const char *state)');
  return (state) => void notify(0, state);
}

/** How often to feed the watchdog, half of what the unit asks for, in milliseconds; null without a watchdog for this process (sd_watchdog_enabled(3)). */
export function watchdogInterval(env: Environment, pid: number): number | null {
  const microseconds = Number(env.WATCHDOG_USEC);
  if (!Number.isFinite(microseconds) || microseconds <= 0) return null;
  if (env.WATCHDOG_PID !== undefined && Number(env.WATCHDOG_PID) !== pid) return null;
  return microseconds / 2 / 1000;
}
