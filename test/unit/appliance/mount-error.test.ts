import { expect, it } from 'vitest';
import { callError } from '../../../src/appliance/errors.js';
import { mountError } from '../../../src/appliance/mount-error.js';
import { answeringSession } from './session.js';

const FAILED = callError('mount_options', '/dev/sda1: wrong fs type, bad option, bad superblock', 22);
const meaning = async (log: string, error: unknown = FAILED) => {
  const { session, calls } = answeringSession({ debug: () => log });
  return { error: await mountError(session, error), calls };
};

it.each([
  'XFS (sda1): Superblock has unknown incompatible features (0x40000000) enabled.',
  'XFS (dm-0): Superblock has unknown read-only compatible features (0x80000000) enabled.',
  'XFS (sda1): File system with blocksize 16384 bytes. Only pagesize (4096) or less will currently work.',
  "EXT4-fs (sda1): couldn't mount because of unsupported optional features (80000000)",
  "EXT4-fs (sda1): couldn't mount RDWR because of unsupported optional features (400)",
  'BTRFS error (device sda1): cannot mount because of unknown incompat features (0x4000)',
  'BTRFS error (device sda1): cannot mount read-write because of unknown compat_ro features (0x10)',
])('tells a filesystem that is too new: %s', async (line) => {
  const log = `[    9.1] sda: sda1\n[   10.123456] ${line}\n[   10.2] XFS (sda1): SB validate failed\n`;
  const { error, calls } = await meaning(log);
  expect(error).toMatchObject({
    code: 'guest.filesystem-too-new',
    message: expect.stringContaining(line.replace(/ \((device )?(sda1|dm-0)\)/, '')),
    cause: FAILED,
  });
  // What was read is gone from the log, or the next failure would be taken for this one.
  expect(calls).toEqual([['debug', 'sh', [expect.stringContaining('dmesg -c')]]]);
});

it.each([
  'XFS (sda1): Superblock has unknown compatible features (0x1) enabled.',
  'XFS (sda1): Metadata corruption detected at xfs_sb_read_verify',
  'EXT4-fs (sda1): bad geometry: block count 10 exceeds size of device',
  '',
])('leaves a damaged one as it is: %s', async (line) => {
  expect((await meaning(`[    1.0] ${line}\n`)).error).toBe(FAILED);
});

it('asks nothing where the appliance itself is lost', async () => {
  const lost = callError('mount_options', 'appliance closed the connection unexpectedly', 0);
  const { error, calls } = await meaning('', lost);
  expect(error).toBe(lost);
  expect(calls).toEqual([]);
});
