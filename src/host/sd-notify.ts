import koffi from 'koffi';
import systemdNotify from 'systemd-notify';

/**
 * Messages to systemd (sd_notify(3)). The npm package systemd-notify announces READY and STATUS. It starts
 * systemd-notify(1) for each, which is not the main process, so the unit needs `NotifyAccess=all`. Other
 * messages, which it does not support, are sent by libsystemd, as are READY and STATUS if the program fails.
 * Does nothing without $NOTIFY_SOCKET.
 */
export interface Notifier {
  ready(): void;
  /** Sets the line that `systemctl status` shows. Sent when it changed, at most once a second. */
  status(text: string): void;
  watchdog(): void;
  reloading(): void;
  stopping(): void;
  /** Extends the timeout to this many seconds from now (sd_notify(3), EXTEND_TIMEOUT_USEC). */
  extendTimeout(seconds: number): void;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Announcement = { ready: true } | { status: string };

/** The two ways to send a message. */
export interface NotifyChannels {
  /** Runs systemd-notify(1). Rejects if it could not be started or failed. */
  announce(message: Announcement): Promise<unknown>;
  /** Sends one protocol message by libsystemd. */
  send(state: string): void;
}

const STATUS_INTERVAL_MS = 1_000;
const SILENT: NotifyChannels = { announce: async () => {}, send: () => {} };

export interface NotifierOptions {
  env: Environment;
  /** Called when systemd-notify(1) failed and libsystemd sent the message instead. */
  onFailure?(error: Error): void;
  channels?: NotifyChannels;
  /** Milliseconds. */
  now?(): number;
}

export function createNotifier({
  env,
  onFailure = () => {},
  channels = env.NOTIFY_SOCKET === undefined ? SILENT : systemdChannels(),
  now = () => performance.now(),
}: NotifierOptions): Notifier {
  const { send } = channels;
  let shown = '';
  let wanted = '';
  let sentAt = Number.NEGATIVE_INFINITY;
  let isScheduled = false;
  // Sequential, so that systemd shows the last announcement.
  let last: Promise<void> = Promise.resolve();

  const announce = async (message: Announcement) => {
    try {
      await channels.announce(message);
    } catch (error) {
      send('ready' in message ? 'READY=1' : `STATUS=${message.status}`);
      onFailure(error instanceof Error ? error : new Error(`systemd-notify: ${error}`));
    }
  };
  const showStatus = async () => {
    isScheduled = false;
    if (wanted === shown) return;
    shown = wanted;
    sentAt = now();
    await announce({ status: shown });
  };
  const enqueue = (task: () => Promise<void>) => {
    last = last.then(task);
  };

  return {
    ready: () => enqueue(() => announce({ ready: true })),
    status(text) {
      // A line break would begin another assignment of the protocol.
      wanted = text.replaceAll(/[\r\n\0]+/g, ' ');
      if (isScheduled || wanted === shown) return;
      isScheduled = true;
      const wait = sentAt + STATUS_INTERVAL_MS - now();
      if (wait > 0) setTimeout(() => enqueue(showStatus), wait).unref();
      else enqueue(showStatus);
    },
    watchdog: () => send('WATCHDOG=1'),
    // systemd.service(5), Type=notify-reload: the time distinguishes this reload from an earlier one.
    reloading: () => send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => send('STOPPING=1'),
    extendTimeout: (seconds) => send(`EXTEND_TIMEOUT_USEC=${seconds * 1_000_000}`),
  };
}

function systemdChannels(): NotifyChannels {
  const notify = koffi
    .load('libsystemd.so.0')
    .func('int sd_notify(int unset_environment, const char *state)');
  return { announce: (message) => systemdNotify(message), send: (state) => void notify(0, state) };
}

/**
 * Returns the interval of watchdog messages, half of the unit's setting, in milliseconds; null without a
 * watchdog for this process (sd_watchdog_enabled(3)).
 */
export function watchdogInterval(env: Environment, pid: number): number | null {
  const microseconds = Number(env.WATCHDOG_USEC);
  if (!Number.isFinite(microseconds) || microseconds <= 0) return null;
  if (env.WATCHDOG_PID !== undefined && Number(env.WATCHDOG_PID) !== pid) return null;
  return microseconds / 2 / 1000;
}
