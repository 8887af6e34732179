import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createNotifier, watchdogInterval } from '../../../src/host/sd-notify.js';

describe('createNotifier', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('sends a status when it changed, at most once a second, and the last one always', () => {
    const sent: string[] = [];
    const notifier = createNotifier(
      {},
      (state) => sent.push(state),
      () => Date.now(),
    );
    notifier.status('a 1%');
    notifier.status('a 2%');
    notifier.status('a 3%');
    expect(sent).toEqual(['STATUS=a 1%']);
    vi.advanceTimersByTime(1_000);
    expect(sent).toEqual(['STATUS=a 1%', 'STATUS=a 3%']);
    vi.advanceTimersByTime(5_000);
    notifier.status('a 3%');
    expect(sent).toHaveLength(2);
  });

  it('lets no name in a status begin a message of its own', () => {
    const sent: string[] = [];
    createNotifier({}, (state) => sent.push(state)).status('vm\nWATCHDOG=trigger');
    expect(sent).toEqual(['STATUS=vm WATCHDOG=trigger']);
  });

  it('says when it reloads by the monotonic clock', () => {
    const sent: string[] = [];
    const before = process.hrtime.bigint() / 1000n;
    createNotifier({}, (state) => sent.push(state)).reloading();
    const [, time] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(sent[0]!)!;
    expect(BigInt(time!)).toBeGreaterThanOrEqual(before);
  });

  it('does nothing without a socket', () => {
    createNotifier({}).ready();
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
