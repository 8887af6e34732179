import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lockDirectory, lockInstance } from '../../../../src/queue/sqlite/instance-lock.js';
import { scratchDirectory } from '../scratch.js';

describe('lockInstance', () => {
  it('refuses a second holder and names the first, until it is released', () => {
    const file = join(scratchDirectory(), 'daemon.lock');
    const first = lockInstance(file, '/spool');
    expect(() => lockInstance(file, '/spool')).toThrow(
      new RegExp(`another daemon is already using /spool: process ${process.pid}, since 20`),
    );
    first.release();
    lockInstance(file, '/spool').release();
  });
});

describe('lockDirectory', () => {
  it('refuses a second holder and names the first, until it is released', () => {
    const directory = scratchDirectory();
    const first = lockDirectory(directory);
    expect(() => lockDirectory(directory)).toThrow(
      new RegExp(`another daemon is already using ${directory}: process ${process.pid}$`),
    );
    if (first !== 'unsupported') first.release();
    const again = lockDirectory(directory);
    expect(again).not.toBe('unsupported');
    if (again !== 'unsupported') again.release();
  });
});
