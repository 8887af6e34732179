import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobSummary } from '../../src/api/protocol.js';
import { unitNodeOptions } from '../lab/unit-options.js';
import { rawDisk } from './hostile/corpus.js';
import { NotifySocket } from './hostile/notify-socket.js';
import { OBSTACLES, type Obstacle, place } from './hostile/obstacles.js';
import { Spool, until } from './support/daemon.js';

const MIB = 1024 * 1024;
/** Of nobody: the daemon's user and the one who drops. */
const [SERVICE, DROPPER] = [64_801, 64_802];
const STATUS_SECONDS = 1;
const STOP_SECONDS = 10;
const GOOD_SECONDS = 60;
const LONGEST_TURN_MS = 200;
const DAEMON_MEMORY_KIB = 300 * 1024;
const BATCH = 9;
const MONITOR = fileURLToPath(new URL('hostile/loop-monitor.mjs', import.meta.url));

let outside: string;
let spool: Spool;
let socket: NotifySocket;
let env: Record<string, string>;
let slowest = 0;
let isWatched = true;
/** The test has stopped it, or is about to. */
let isAway = false;
const unanswered: string[] = [];
/** Drops so far. Making one keeps the test itself, so what is measured meanwhile counts for nothing. */
let made = 0;
let watching: Promise<void>;
const told: string[] = [];
const names = new Map<Obstacle, string>();
const goods: { name: string; seconds: number }[] = [];

beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), 'h2k-drops-'));
  spool = await Spool.create(
    '[watch]\nsettle_seconds = 0.3\npoll_seconds = 0.5\n[flatten]\nmax_virtual_size_gib = 8192\n[log]\nlevel = "debug"\n',
    {
      user: SERVICE,
    },
  );
  const path = spool.path('notify.sock');
  socket = new NotifySocket(path);
  execFileSync('chown', [`${SERVICE}:${SERVICE}`, path]);
  env = {
    NOTIFY_SOCKET: path,
    H2K_LOOP_FILE: spool.path('loop.json'),
    NODE_OPTIONS: `${unitNodeOptions()} --import ${MONITOR}`,
  };
  await spool.start(env);
  watching = watchStatus();
});

afterAll(async () => {
  isWatched = false;
  await watching;
  await spool?.kill('SIGTERM');
  // Node's own cannot remove a path that is longer than the system takes.
  if (spool !== undefined) execFileSync('rm', ['-rf', spool.path('incoming')]);
  await spool?.destroy();
  socket?.close();
  if (outside !== undefined) await rm(outside, { recursive: true, force: true });
});

/**
 * `status` is asked for all the while, ten times a second; and somebody has to read what the daemon tells
 * systemd, else it waits.
 */
async function watchStatus(): Promise<void> {
  while (isWatched) {
    told.push(...socket.messages());
    const [asked, before] = [performance.now(), made];
    const refusal = await spool.status().then(
      () => null,
      (error: unknown) => String(error),
    );
    if (!isAway && refusal !== null) unanswered.push(refusal);
    if (!isAway && made === before) slowest = Math.max(slowest, performance.now() - asked);
    await sleep(100);
  }
}

/** Puts hostile drops and a good one behind them into incoming, and waits until the good one is converted. */
async function dropWithGood(batch: readonly Obstacle[], first: number): Promise<void> {
  for (const [index, obstacle] of batch.entries()) {
    const name = obstacle.name ?? `drop-${String(first + index).padStart(2, '0')}`;
    names.set(obstacle, name);
    place(obstacle, join(outside, name), DROPPER);
    made += 1;
    renameSync(join(outside, name), spool.path('incoming', name));
  }
  const good = `good-${first}`;
  const staging = join(outside, good);
  mkdirSync(staging);
  writeFileSync(join(staging, 'disk.raw'), rawDisk(MIB, 0x42));
  writeFileSync(join(staging, 'job.toml'), 'kind = "data"\n[convert]\ncompression = "zstd"\n');
  execFileSync('sh', ['-c', `chown -R ${DROPPER}:${DROPPER} ${staging} && chmod 0777 ${staging}`]);
  renameSync(staging, spool.path('incoming', good));
  const dropped = performance.now();
  await spool.waitForJob(({ drop, state }) => drop === good && state === 'converted', GOOD_SECONDS, {
    mayFail: true,
  });
  goods.push({ name: good, seconds: (performance.now() - dropped) / 1000 });
}

/** What `list` says of a drop, ended or waiting. */
async function entryOf(obstacle: Obstacle): Promise<JobSummary | undefined> {
  const jobs = await spool.get<JobSummary[]>('/v1/jobs');
  return jobs.find(({ drop }) => drop === names.get(obstacle));
}

function memoryKib(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${spool.pid}/status`, 'utf8'))?.[1]);
}

function loop(): { turn: number; delay: number } {
  return JSON.parse(readFileSync(spool.path('loop.json'), 'utf8')) as { turn: number; delay: number };
}

describe('drops that would hold up others', () => {
  beforeAll(async () => {
    for (let at = 0; at < OBSTACLES.length; at += BATCH)
      await dropWithGood(OBSTACLES.slice(at, at + BATCH), at);
    await until('all of them to end', 60, async () => {
      const entries = await Promise.all(OBSTACLES.map(entryOf));
      return entries.every((entry, index) =>
        OBSTACLES[index]!.stays ? entry?.state === 'waiting' : entry?.finished_at != null,
      );
    });
  });

  test.each(OBSTACLES.map((obstacle) => [obstacle.title, obstacle] as const))(
    '%s',
    async (_title, obstacle) => {
      const entry = (await entryOf(obstacle))!;
      const said =
        entry.state === 'waiting'
          ? (entry.waiting_for ?? '')
          : entry.state === 'converted'
            ? 'converted'
            : (entry.error?.code ?? entry.state);
      expect(said, JSON.stringify(entry)).toMatch(obstacle.expected);
      if (entry.error !== null) expect(entry.error.advice).not.toBe('');
      const name = names.get(obstacle)!;
      expect(existsSync(spool.path('incoming', name))).toBe(obstacle.stays === true);
      // Once in the log, however often it is looked at.
      const lines = spool.log
        .split('\n')
        .filter((line) => line.includes(`"drop":"${name}"`) && line.includes('claimed'));
      expect(lines).toHaveLength(1);
    },
  );

  test('a good drop beside each batch was converted within its time', () => {
    expect(goods).toHaveLength(Math.ceil(OBSTACLES.length / BATCH));
    for (const { seconds } of goods) expect(seconds).toBeLessThan(GOOD_SECONDS);
  });

  test('status answered within a second all the while', () => {
    expect(unanswered).toEqual([]);
    expect(slowest / 1000).toBeLessThan(STATUS_SECONDS);
  });

  test('no turn of the event loop was long, and the daemon was never large', () => {
    const { turn, delay } = loop();
    console.log(
      `longest turn ${turn.toFixed(0)} ms (by the clock ${delay.toFixed(0)} ms), peak ${(memoryKib() / 1024).toFixed(0)} MiB, slowest status ${slowest.toFixed(0)} ms, good drops ${goods.map(({ seconds }) => seconds.toFixed(1)).join(', ')} s`,
    );
    expect(turn).toBeLessThan(LONGEST_TURN_MS);
    expect(memoryKib()).toBeLessThan(DAEMON_MEMORY_KIB);
  });

  test('a directory that becomes readable is taken', async () => {
    const obstacle = OBSTACLES.find(({ title }) => title === 'a private directory')!;
    const name = names.get(obstacle)!;
    execFileSync('chmod', ['0777', spool.path('incoming', name)]);
    await spool.waitForJob(({ drop, state }) => drop === name && state === 'converted', 30, {
      mayFail: true,
    });
  });
});

describe('a daemon that is stopped and started with all of that before it', () => {
  /** Those that cost most to look at. */
  const heavy = OBSTACLES.filter(({ title }) => /four million|no order|20,000|two million/.test(title));
  beforeAll(() => {
    for (const [index, obstacle] of heavy.entries()) {
      place(obstacle, join(outside, `heavy-${index}`), DROPPER);
      renameSync(join(outside, `heavy-${index}`), spool.path('incoming', `heavy-${index}`));
    }
  });

  test('SIGTERM ends it, whatever it looks at', async () => {
    await sleep(300);
    isAway = true;
    const asked = performance.now();
    await spool.kill('SIGTERM');
    expect((performance.now() - asked) / 1000).toBeLessThan(STOP_SECONDS);
    await until('STOPPING', 5, async () => told.join('\n').includes('STOPPING=1'));
  });

  test('the next start says READY at once, and answers', async () => {
    told.length = 0;
    const started = performance.now();
    await spool.start(env);
    await until('READY', 10, async () => told.join('\n').includes('READY=1'));
    expect((performance.now() - started) / 1000).toBeLessThan(10);
    await dropWithGood([], 900);
  });

  test('SIGTERM ends this one, too', async () => {
    const asked = performance.now();
    await spool.kill('SIGTERM');
    expect((performance.now() - asked) / 1000).toBeLessThan(STOP_SECONDS);
  });
});
