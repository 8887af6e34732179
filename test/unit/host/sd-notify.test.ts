import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createNotifier, watchdogInterval } from '../../../src/host/sd-notify.js';

/** A notifier and what systemd gets: from the program as words, from libsystemd as the protocol's text. */
function notifierWith(announce: (message: object) => Promise<unknown> = async () => {}) {
  const sent: unknown[] = [];
  const failures: string[] = [];
  const notifier = createNotifier({
    env: {},
    onFailure: (error) => failures.push(error.message),
    channels: {
      announce(message) {
        sent.push(message);
        return announce(message);
      },
      send: (state) => sent.push(state),
    },
    now: () => Date.now(),
  });
  return { notifier, sent, failures };
}

describe('createNotifier', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const settled = () => vi.advanceTimersByTimeAsync(0);

  it('announces a status when it changed, at most once a second, and the last one always', async () => {
    const { notifier, sent } = notifierWith();
    notifier.status('a 1%');
    await settled();
    notifier.status('a 2%');
    notifier.status('a 3%');
    await settled();
    expect(sent).toEqual([{ status: 'a 1%' }]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(sent).toEqual([{ status: 'a 1%' }, { status: 'a 3%' }]);
    await vi.advanceTimersByTimeAsync(5_000);
    notifier.status('a 3%');
    await settled();
    expect(sent).toHaveLength(2);
  });

  it('has one announcement on its way at a time, so that the last one is what systemd shows', async () => {
    let arrive = () => {};
    const { notifier, sent } = notifierWith(() => new Promise<void>((resolve) => (arrive = resolve)));
    notifier.ready();
    notifier.status('a 1%');
    await vi.advanceTimersByTimeAsync(3_000);
    notifier.status('a 2%');
    await settled();
    expect(sent).toEqual([{ ready: true }]);
    arrive();
    await settled();
    expect(sent).toEqual([{ ready: true }, { status: 'a 2%' }]);
  });

  it('sends what only libsystemd knows by libsystemd, also while an announcement is on its way', async () => {
    const { notifier, sent } = notifierWith(() => new Promise(() => {}));
    notifier.ready();
    await settled();
    notifier.watchdog();
    notifier.stopping();
    notifier.extendTimeout(30);
    expect(sent).toEqual([{ ready: true }, 'WATCHDOG=1', 'STOPPING=1', 'EXTEND_TIMEOUT_USEC=30000000']);
  });

  it('sends READY and the status by libsystemd where systemd-notify fails, and says so', async () => {
    // The package rejects with what the program printed.
    const { notifier, sent, failures } = notifierWith(() => Promise.reject('Failed to notify'));
    notifier.ready();
    notifier.status('idle');
    await settled();
    expect(sent).toEqual([{ ready: true }, 'READY=1', { status: 'idle' }, 'STATUS=idle']);
    expect(failures).toEqual(Array(2).fill('systemd-notify: Failed to notify'));
  });

  it('lets no name in a status begin a message of its own', async () => {
    const { notifier, sent } = notifierWith();
    notifier.status('vm\nWATCHDOG=trigger\0');
    await settled();
    expect(sent).toEqual([{ status: 'vm WATCHDOG=trigger ' }]);
  });

  it('says when it reloads by the monotonic clock', () => {
    const { notifier, sent } = notifierWith();
    const before = process.hrtime.bigint() / 1000n;
    notifier.reloading();
    const [, time] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(String(sent[0]))!;
    expect(BigInt(time!)).toBeGreaterThanOrEqual(before);
  });

  it('does nothing without a socket', async () => {
    const failures: Error[] = [];
    const notifier = createNotifier({ env: {}, onFailure: (error) => failures.push(error) });
    notifier.ready();
    notifier.status('idle');
    await settled();
    expect(failures).toEqual([]);
  });
});

describe('watchdogInterval', () => {
  it('is half of what the unit asks of this process', () => {
    expect(watchdogInterval({ WATCHDOG_USEC: '60000000' }, 7)).toBe(30_000);
    expect(watchdogInterval({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '7' }, 7)).toBe(30_000);
    expect(watchdogInterval({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '8' }, 7)).toBeNull();
    expect(watchdogInterval({}, 7)).toBeNull();
    expect(watchdogInterval({ WATCHDOG_USEC: 'x' }, 7)).toBeNull();
  });
});
