import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SystemdStatus } from '../../../src/daemon/systemd.js';
import { createLog } from '../../../src/host/log.js';
import { createNotifier } from '../../../src/host/sd-notify.js';

const ENV = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '20000000' };

function systemdOf(ping: () => Promise<void> = async () => {}) {
  const sent: string[] = [];
  const lines: string[] = [];
  const systemd = new SystemdStatus({
    notifier: createNotifier({
      env: ENV,
      channels: {
        announce: async (message) => void sent.push(...Object.keys(message)),
        send: (state) => void sent.push(state),
      },
      now: () => Date.now(),
    }),
    statusLine: async () => 'idle',
    ping,
    log: createLog({ level: 'info', writer: (line) => lines.push(line) }).logger,
    env: ENV,
  });
  return { systemd, sent, lines };
}

describe('SystemdStatus', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('feeds the watchdog at half its time', async () => {
    const { systemd, sent } = systemdOf();
    systemd.start();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sent.toSorted()).toEqual([...Array(4).fill('WATCHDOG=1'), 'ready', 'status']);
    systemd.stop();
  });

  it('does not feed it while the database does not answer', async () => {
    const { systemd, sent, lines } = systemdOf(() => Promise.reject(new Error('disk I/O error')));
    systemd.start();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sent).not.toContain('WATCHDOG=1');
    expect(lines[0]).toContain('watchdog not fed');
    systemd.stop();
  });

  it('asks for more time while it stops, for five minutes at most, and for none when it has stopped', async () => {
    const { systemd, sent } = systemdOf();
    systemd.start();
    systemd.stopping();
    const asked = () => sent.filter((state) => state === 'EXTEND_TIMEOUT_USEC=30000000').length;
    expect(sent.slice(-3)).toEqual(['STOPPING=1', 'EXTEND_TIMEOUT_USEC=30000000', 'WATCHDOG=1']);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(asked()).toBe(3);
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(asked()).toBe(30);
    systemd.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('says nothing of a queue that is closed by now', async () => {
    let answer = (_error: Error) => {};
    const { systemd, sent, lines } = systemdOf(
      () =>
        new Promise((_resolve, reject) => {
          answer = reject;
        }),
    );
    systemd.start();
    systemd.stopping();
    answer(new Error('The database connection is not open'));
    await vi.advanceTimersByTimeAsync(0);
    systemd.stop();
    expect(lines).toEqual([]);
    expect(sent).not.toContain('status');
  });
});
