import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Supervision } from '../../../src/daemon/systemd.js';
import { createLog } from '../../../src/host/log.js';
import { createNotifier } from '../../../src/host/sd-notify.js';

const ENV = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '20000000' };

function supervise(ping: () => void = () => {}) {
  const sent: string[] = [];
  const lines: string[] = [];
  const supervision = new Supervision({
    notifier: createNotifier({
      env: ENV,
      channels: {
        announce: async (message) => sent.push(...Object.keys(message)),
        send: (state) => sent.push(state),
      },
      now: () => Date.now(),
    }),
    statusLine: () => 'idle',
    ping,
    log: createLog({ level: 'info', writer: (line) => lines.push(line) }).logger,
    env: ENV,
  });
  return { supervision, sent, lines };
}

describe('Supervision', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('feeds the watchdog at half its time', async () => {
    const { supervision, sent } = supervise();
    supervision.start();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sent.toSorted()).toEqual([...Array(4).fill('WATCHDOG=1'), 'ready', 'status']);
    supervision.stop();
  });

  it('does not feed it while the database does not answer', () => {
    const { supervision, sent, lines } = supervise(() => {
      throw new Error('disk I/O error');
    });
    supervision.start();
    vi.advanceTimersByTime(30_000);
    expect(sent).not.toContain('WATCHDOG=1');
    expect(lines[0]).toContain('watchdog not fed');
    supervision.stop();
  });

  it('asks for more time while it stops, for five minutes at most, and for none when it has stopped', () => {
    const { supervision, sent } = supervise();
    supervision.start();
    supervision.stopping();
    const asked = () => sent.filter((state) => state === 'EXTEND_TIMEOUT_USEC=30000000').length;
    expect(sent.slice(-3)).toEqual(['STOPPING=1', 'EXTEND_TIMEOUT_USEC=30000000', 'WATCHDOG=1']);
    vi.advanceTimersByTime(20_000);
    expect(asked()).toBe(3);
    vi.advanceTimersByTime(3_600_000);
    expect(asked()).toBe(30);
    supervision.stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});
