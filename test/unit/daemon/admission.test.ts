import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Admission, type Applicant } from '../../../src/daemon/admission.js';
import { createEvents } from '../../../src/daemon/events.js';
import { estimateBytes } from '../../../src/daemon/space-needs.js';
import type { QueueStore } from '../../../src/queue/store.js';
import { enqueue, scratchDirectory, scratchQueue, testClaim } from '../queue/scratch.js';
import { oneNotification } from './support.js';

const A: Applicant = { kind: 'drop', id: 'a' };
const B: Applicant = { kind: 'drop', id: 'b' };
const J1: Applicant = { kind: 'job', id: 'j1' };

function gateOn(
  queue: QueueStore,
  work: string,
  notifications = oneNotification,
  log = pino({ level: 'silent' }),
) {
  const events = createEvents();
  const told: string[] = [];
  for (const name of ['queue:paused', 'queue:resumed'] as const)
    events.on(name, (reason) => told.push(`${name} ${reason}`));
  events.on('queue:draining', () => told.push('queue:draining'));
  return { gate: new Admission({ queue, work, log, events, notifications }), told };
}

function admission() {
  const directory = scratchDirectory();
  const queue = scratchQueue(directory);
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const { gate, told } = gateOn(queue, directory, oneNotification, log);
  const sent = async () => {
    const events: string[] = [];
    for (let next = await queue.outbox.due('test', Date.now()); next !== null; ) {
      events.push(next.event);
      await queue.outbox.settle(next, 'delivered');
      next = await queue.outbox.due('test', Date.now());
    }
    return events;
  };
  return { queue, directory, lines, told, sent, admission: gate };
}

describe('Admission', () => {
  it('says once that space is missing and once that there is room again', async () => {
    const { admission: gate, lines, told, sent } = admission();
    expect(await gate.hasRoom(A, 1)).toBe(true);
    expect(await gate.hasRoom(A, 1e18)).toBe(false);
    expect(await gate.hasRoom(B, 1e18)).toBe(false);
    // A job may be called as a drop is.
    expect(await gate.hasFree({ kind: 'job', id: 'a' }, 1, '/')).toBe(true);
    expect(await gate.pausedReason()).toBe('space');
    expect(gate.spaceText(A)).toMatch(/^space: \d+ PiB more under \//);
    expect(await gate.hasRoom(A, 1)).toBe(true);
    expect(await gate.pausedReason()).toBe('space');
    await gate.forgetExcept('job', new Set());
    expect(await gate.pausedReason()).toBe('space');
    await gate.forgetExcept('drop', new Set());
    expect(await gate.pausedReason()).toBeNull();
    expect(lines).toEqual(['queue paused: not enough space', 'queue resumed: space available']);
    expect(told).toEqual(['queue:paused space', 'queue:resumed space']);
    expect(await sent()).toEqual(['paused', 'resumed']);
  });

  it('keeps an operator’s pause over a restart', async () => {
    const { admission: gate, queue, directory, sent } = admission();
    await gate.pause();
    const { gate: again, told } = gateOn(queue, directory);
    expect(await again.pausedReason()).toBe('operator');
    expect(await again.mayClaim()).toBe(false);
    await again.pause();
    await again.resume();
    await again.resume();
    expect(told).toEqual(['queue:resumed operator']);
    expect(await sent()).toEqual(['paused', 'resumed']);
    expect(await gate.pausedReason()).toBeNull();
  });

  it('continues when a notification cannot be recorded', async () => {
    const { queue, directory } = admission();
    const { gate } = gateOn(queue, directory, () => {
      throw new Error('database or disk is full');
    });
    expect(await gate.hasRoom(A, 1e18)).toBe(false);
    expect(await gate.hasRoom(A, 1)).toBe(true);
  });

  it('refuses what cannot fit on the filesystem, with its numbers', async () => {
    const { admission: gate, queue } = admission();
    await enqueue(queue, 'j1');
    const { lease } = (await queue.runs.start('j1'))!;
    await expect(gate.reserve(lease, 1e18)).rejects.toMatchObject({
      code: 'host.no-space',
      retryable: false,
      message: expect.stringMatching(/at most 888 PiB are needed under .* has \d.* free of \d.* in total/),
    });
    expect(await gate.canEverFit(1e18)).toBe(false);
    expect(await gate.canEverFit(1)).toBe(true);
  });

  it('promises nothing of what a drop needs that is being copied from another filesystem', async () => {
    const { admission: gate, queue } = admission();
    await queue.claims.record(testClaim('j1', { reservedBytes: 1e18, phase: 'copying' }));
    expect(await gate.hasRoom(A, 1)).toBe(false);
    await queue.claims.forget('j1');
    expect(await gate.hasRoom(A, 1)).toBe(true);
  });

  it('counts what stays in the work directory: the drop and a private copy of it, not scratch', async () => {
    const { admission: gate, queue, directory } = admission();
    await enqueue(queue, 'j1');
    const { lease } = (await queue.runs.start('j1'))!;
    const refusal = () => gate.reserve(lease, 1e18).then(null, (error: Error) => error.message);
    for (const name of ['source', 'private-source-1', 'out']) {
      const place = join(directory, 'j1', name);
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, 'disk.raw'), Buffer.alloc(10_000_000));
      expect(await refusal()).toContain(
        `beside the ${name === 'source' ? '9.5 MiB' : '19.1 MiB'} of the drop`,
      );
    }
  });

  it('does not let a job wait for what it has written already', async () => {
    const { admission: gate, queue } = admission();
    for (const job of ['j1', 'j2']) await enqueue(queue, job, { reservedBytes: 1e18 });
    const { lease } = (await queue.runs.start('j1'))!;
    await queue.runs.start('j2');
    const waits = async (written: number) => {
      await expect(gate.reserve(lease, 1_000_000, { written })).rejects.toMatchObject({
        code: 'host.waits-for-space',
      });
      return gate.bytesToWaitFor('j1');
    };
    expect((await waits(0)) - (await waits(900_000))).toBe(900_000);
  });

  it('lets a job wait for what is promised to those that run, not for those that do not', async () => {
    const { admission: gate, queue, directory } = admission();
    for (const job of ['j1', 'j2', 'j3']) await enqueue(queue, job, { reservedBytes: 1e18 });
    const { lease } = (await queue.runs.start('j1'))!;
    await gate.reserve(lease, 1);
    const reserved = (await queue.jobs.get('j1'))?.reservedBytes ?? 0;
    expect(reserved).toBe(64 * 1024 ** 2 + 1);
    await queue.runs.start('j2');
    await expect(gate.reserve(lease, 2)).rejects.toMatchObject({ code: 'host.waits-for-space' });
    // As it is kept: the worker asks for it before it starts the job again.
    expect((await queue.jobs.get('j1'))?.reservedBytes).toBe(reserved + 1);
    const lacking = gate.bytesToWaitFor('j1');
    expect(await gate.hasFree(J1, lacking, directory)).toBe(false);
    queue.set('j2', { state: 'failed' });
    expect(await gate.hasFree(J1, lacking, directory)).toBe(true);
    await gate.reserve(lease, 1, { atLeast: true });
    expect((await queue.jobs.get('j1'))?.reservedBytes).toBe(reserved + 1);
  });

  it('drains: claims nothing, starts what is queued', async () => {
    const { admission: gate, queue, told } = admission();
    gate.drain();
    expect([gate.isDraining, await gate.mayClaim()]).toEqual([true, false]);
    await enqueue(queue, 'j1');
    expect(await queue.runs.start('j1')).not.toBeNull();
    await gate.resume();
    expect([gate.isDraining, await gate.mayClaim()]).toEqual([false, true]);
    expect(told).toEqual(['queue:draining', 'queue:resumed operator']);
  });
});

describe('estimateBytes', () => {
  it('counts what is on disk, not what a sparse file could hold', () => {
    const state = {
      entry: { name: 'a', type: 'file' as const, size: 1e12 },
      fingerprint: '',
      device: 1,
      inode: 1,
      bornMs: 0,
      bytes: 1e12,
      allocatedBytes: 1e9,
    };
    expect(estimateBytes([state], { copies: 0, unpackedBytes: 0 })).toBe(1.5e9 + 64 * 1024 ** 2);
    expect(estimateBytes([state], { copies: 1, unpackedBytes: 0 })).toBe(2.5e9 + 64 * 1024 ** 2);
    expect(estimateBytes([state], { copies: 0, unpackedBytes: 4e9 })).toBe(9.5e9 + 64 * 1024 ** 2);
  });
});
