import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Admission, estimateBytes } from '../../../src/daemon/admission.js';
import { enqueue, scratchDirectory, scratchQueue, testClaim } from '../queue/scratch.js';

function admission() {
  const directory = scratchDirectory();
  const queue = scratchQueue(directory);
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const told: string[] = [];
  return {
    queue,
    directory,
    lines,
    told,
    admission: new Admission(queue, directory, log, ({ event }) => void told.push(event)),
  };
}

describe('Admission', () => {
  it('says once that space is missing and once that there is room again', async () => {
    const { admission: gate, lines, told } = admission();
    expect(await gate.hasRoom('drop a', 1)).toBe(true);
    expect(await gate.hasRoom('drop a', 1e18)).toBe(false);
    expect(await gate.hasRoom('drop b', 1e18)).toBe(false);
    expect(gate).toMatchObject({ state: 'paused', pausedReason: 'space' });
    expect(gate.spaceText('drop a')).toMatch(/^space: \d+ PB more under \//);
    expect(await gate.hasRoom('drop a', 1)).toBe(true);
    expect(gate.state).toBe('paused');
    gate.forgetExcept(() => false);
    expect(gate.state).toBe('running');
    expect(lines).toEqual(['queue paused: not enough space', 'queue goes on: there is room again']);
    expect(told).toEqual(['paused', 'resumed']);
  });

  it('keeps an operator’s pause over a restart', () => {
    const { admission: gate, queue, directory, told } = admission();
    gate.pause();
    const again = new Admission(
      queue,
      directory,
      pino({ level: 'silent' }),
      ({ event }) => void told.push(event),
    );
    expect(again).toMatchObject({
      state: 'paused',
      pausedReason: 'operator',
      mayStart: false,
      mayClaim: false,
    });
    again.pause();
    again.resume();
    again.resume();
    expect(told).toEqual(['paused', 'resumed']);
    expect(gate.state).toBe('running');
  });

  it('goes on when a notification cannot be recorded', async () => {
    const { queue, directory } = admission();
    const gate = new Admission(queue, directory, pino({ level: 'silent' }), () => {
      throw new Error('database or disk is full');
    });
    expect(await gate.hasRoom('drop a', 1e18)).toBe(false);
    expect(await gate.hasRoom('drop a', 1)).toBe(true);
  });

  it('refuses what cannot fit on the filesystem, with its numbers', async () => {
    const { admission: gate, queue } = admission();
    enqueue(queue, 'j1');
    await expect(gate.reserve('j1', 1e18)).rejects.toMatchObject({
      code: 'host.no-space',
      retryable: false,
      message: expect.stringMatching(/at most 1000 PB are needed under .* has \d.* free of \d.* in total/),
    });
    expect(await gate.canEverFit(1e18)).toBe(false);
    expect(await gate.canEverFit(1)).toBe(true);
  });

  it('promises nothing of what a drop needs that is being copied from another filesystem', async () => {
    const { admission: gate, queue } = admission();
    queue.claims.record(testClaim('j1', { reservedBytes: 1e18, phase: 'copying' }));
    expect(await gate.hasRoom('drop a', 1)).toBe(false);
    queue.claims.forget('j1');
    expect(await gate.hasRoom('drop a', 1)).toBe(true);
  });

  it('counts what stays in the work directory: the drop and a private copy of it, not scratch', async () => {
    const { admission: gate, queue, directory } = admission();
    enqueue(queue, 'j1');
    const refusal = () => gate.reserve('j1', 1e18).then(null, (error: Error) => error.message);
    for (const name of ['source', 'private-source-1', 'out']) {
      const place = join(directory, 'j1', name);
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, 'disk.raw'), Buffer.alloc(10_000_000));
      expect(await refusal()).toContain(
        `beside the ${name === 'source' ? '10.0 MB' : '20.0 MB'} of the drop`,
      );
    }
  });

  it('does not let a job wait for what it has written already', async () => {
    const { admission: gate, queue } = admission();
    for (const job of ['j1', 'j2']) enqueue(queue, job, { reservedBytes: 1e18 });
    queue.jobs.start('j1');
    queue.jobs.start('j2');
    const waits = async (written: number) => {
      await expect(gate.reserve('j1', 1_000_000, { written })).rejects.toMatchObject({
        code: 'host.waits-for-space',
      });
      return gate.bytesToWaitFor('j1');
    };
    expect((await waits(0)) - (await waits(900_000))).toBe(900_000);
  });

  it('lets a job wait for what is promised to those that run, not for those that do not', async () => {
    const { admission: gate, queue, directory } = admission();
    for (const job of ['j1', 'j2', 'j3']) enqueue(queue, job, { reservedBytes: 1e18 });
    queue.jobs.start('j1');
    await gate.reserve('j1', 1);
    const reserved = queue.jobs.get('j1')?.reservedBytes ?? 0;
    expect(reserved).toBe(64 * 1024 ** 2 + 1);
    queue.jobs.start('j2');
    await expect(gate.reserve('j1', 2)).rejects.toMatchObject({ code: 'host.waits-for-space' });
    // As it is kept: the worker asks for it before it starts the job again.
    expect(queue.jobs.get('j1')?.reservedBytes).toBe(reserved + 1);
    const lacking = gate.bytesToWaitFor('j1');
    expect(await gate.hasFree('job j1', lacking, directory)).toBe(false);
    queue.jobs.update('j2', { state: 'failed' });
    expect(await gate.hasFree('job j1', lacking, directory)).toBe(true);
    await gate.reserve('j1', 1, { atLeast: true });
    expect(queue.jobs.get('j1')?.reservedBytes).toBe(reserved + 1);
  });

  it('drains: claims nothing, starts what is queued', () => {
    const { admission: gate } = admission();
    gate.drain();
    expect(gate).toMatchObject({ state: 'draining', mayClaim: false, mayStart: true });
  });
});

describe('estimateBytes', () => {
  it('counts what is on disk, not what a sparse file could hold', () => {
    const look = {
      entry: { name: 'a', type: 'file' as const, size: 1e12 },
      stamp: '',
      device: 1,
      inode: 1,
      bornMs: 0,
      bytes: 1e12,
      allocatedBytes: 1e9,
    };
    expect(estimateBytes([look], 0, 0)).toBe(1.5e9 + 64 * 1024 ** 2);
    expect(estimateBytes([look], 1, 0)).toBe(2.5e9 + 64 * 1024 ** 2);
    expect(estimateBytes([look], 0, 4e9)).toBe(9.5e9 + 64 * 1024 ** 2);
  });
});
