import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Admission, estimateBytes } from '../../../src/daemon/admission.js';
import { scratchDirectory, scratchQueue } from '../queue/scratch.js';

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
