import koffi from 'koffi';
import systemdNotify from 'systemd-notify';

/**
 * What systemd is told (sd_notify(3)). The npm package systemd-notify announces READY and STATUS. It starts
 * systemd-notify(1) for each, which is not the main process: the unit needs `NotifyAccess=all` for it. It
 * knows no other message; those go through libsystemd, which also sends READY and STATUS where the program
 * cannot. Does nothing without $NOTIFY_SOCKET.
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
type Announcement = { ready: true } | { status: string };

/** The two ways to systemd. */
export interface NotifyChannels {
  /** systemd-notify(1). Rejects when it could not be started or failed. */
  announce(message: Announcement): Promise<unknown>;
  /** libsystemd: one message of the protocol. */
  send(state: string): void;
}

const STATUS_INTERVAL_MS = 1_000;
const SILENT: NotifyChannels = { announce: async () => {}, send: () => {} };

export interface NotifierOptions {
  env: Environment;
  /** Called when systemd-notify(1) failed and libsystemd has sent its message instead. */
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
  // One after the other: what was announced last is what systemd shows.
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
    // systemd.service(5), Type=notify-reload: the time tells this reload from an earlier one.
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
 * Returns how often to feed the watchdog, half of what the unit asks for, in milliseconds; null without a
 * watchdog for this process (sd_watchdog_enabled(3)).
 */
export function watchdogInterval(env: Environment, pid: number): number | null {
  const microseconds = Number(env.WATCHDOG_USEC);
  if (!Number.isFinite(microseconds) || microseconds <= 0) return null;
  if (env.WATCHDOG_PID !== undefined && Number(env.WATCHDOG_PID) !== pid) return null;
  return microseconds / 2 / 1000;
}
