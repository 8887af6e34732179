import { describe, expect, it } from 'vitest';
import { openHive } from '../../../../src/guest/registry/hive.js';
import { marvin32 } from '../../../../src/guest/registry/marvin32.js';
import { recoverHive } from '../../../../src/guest/registry/recover.js';
import { dword, makeHive, sealBaseBlock } from './make-hive.ts';
import { dirtyPagesLog, entriesLog, sealEntry } from './make-log.ts';

/** States of one hive: its only value counts, and it grows with the last two. */
const state = (count: number) =>
  makeHive({
    name: 'r',
    keys: [
      { name: 'a', values: [dword('count', count)] },
      ...Array.from({ length: count >= 3 ? 200 : 0 }, (_, index) => ({ name: `new${index}` })),
    ],
  });
const STATES = [0, 1, 2, 3, 4].map(state);
const [first, second, third] = STATES as [Buffer, Buffer, Buffer];

/** The hive while a write is under way that began with `sequence`. */
function dirty(hive: Buffer, sequence: readonly [number, number], lastWritten?: bigint): Buffer {
  const bytes = Buffer.from(hive);
  bytes.writeUInt32LE(sequence[0], 4);
  bytes.writeUInt32LE(sequence[1], 8);
  if (lastWritten !== undefined) bytes.writeBigUInt64LE(lastWritten, 12);
  return sealBaseBlock(bytes);
}

const count = (bytes: Buffer) => openHive(bytes).key('a')?.number('count');
const isDirty = expect.objectContaining({ code: 'guest.hive-dirty' });
const bins = (bytes: Buffer) => bytes.subarray(4096);

describe('the hash of log entries', () => {
  it.each([
    // Headers of two entries that Windows 10 wrote, and their hashes (the test hives of yarp).
    ['48764c45005e00000000000002000000005000000100000031e40718666c8667', '027f65a7cff344cd'],
    ['48764c45001e0000000000000300000000500000010000005d1e700717a84647', '677287f6afdc37e6'],
  ])('of %s is what Windows wrote', (header, hash) => {
    expect(marvin32(Buffer.from(header, 'hex'))).toBe(Buffer.from(hash, 'hex').readBigUInt64LE(0));
  });
});

describe('a clean hive', () => {
  it('is as it is, whatever is in its logs', () => {
    const clean = dirty(first, [7, 7]);
    const result = recoverHive(clean, [entriesLog([first, second], { sequence: 7 })]);
    expect(result).toEqual({ bytes: clean, recovered: null });
    expect(result.bytes).toBe(clean);
  });
});

describe('entries (Windows 8.1 and later)', () => {
  it('are all applied, in the order of both logs, whichever has the earlier ones', () => {
    const logs = [
      entriesLog(STATES.slice(2), { sequence: 12 }),
      entriesLog(STATES.slice(0, 3), { sequence: 10 }),
    ];
    for (const given of [logs, [...logs].reverse()]) {
      const { bytes, recovered } = recoverHive(dirty(first, [10, 9]), given);
      expect(bins(bytes).equals(bins(STATES[4]!))).toBe(true);
      expect(recovered).toMatchObject({ log: 'entries' });
      // Clean, with the last entry's number: nobody replays them again.
      expect([bytes.readUInt32LE(4), bytes.readUInt32LE(8)]).toEqual([13, 13]);
      expect(recoverHive(bytes, given).recovered).toBeNull();
    }
  });

  it('of an earlier time are passed over', () => {
    const old = entriesLog([third, first], { sequence: 3 });
    const { bytes } = recoverHive(dirty(first, [10, 9]), [old, entriesLog([first, second], { sequence: 9 })]);
    expect(count(bytes)).toBe(1);
    expect(() => recoverHive(dirty(first, [10, 9]), [old])).toThrow(isDirty);
  });

  it('end at the first whose hash is wrong', () => {
    const log = entriesLog([first, second, third], { sequence: 9 });
    const at = log.indexOf('HvLE', 600);
    log.writeUInt8(log.readUInt8(at + 50) ^ 1, at + 50);
    expect(count(recoverHive(dirty(first, [9, 8]), [log]).bytes)).toBe(1);
  });

  it('end where a number is missing: in one log, and from one log to the other', () => {
    const log = entriesLog([first, second, third], { sequence: 9 });
    const at = log.indexOf('HvLE', 600);
    log.writeUInt32LE(11, at + 12);
    sealEntry(log.subarray(at, at + log.readUInt32LE(at + 4)));
    expect(count(recoverHive(dirty(first, [9, 8]), [log]).bytes)).toBe(1);
    const gap = [entriesLog([first, second], { sequence: 9 }), entriesLog([second, third], { sequence: 11 })];
    expect(count(recoverHive(dirty(first, [9, 8]), gap).bytes)).toBe(1);
  });

  it('go on when the numbers begin again', () => {
    const logs = [
      entriesLog([first, second], { sequence: 0xffff_ffff }),
      entriesLog([second, third], { sequence: 0 }),
    ];
    expect(count(recoverHive(dirty(first, [0xffff_ffff, 0xffff_fffe]), logs).bytes)).toBe(2);
  });

  it('of the later log alone complete a hive whose base block is damaged', () => {
    const damaged = dirty(second, [10, 9]);
    damaged.fill(0xee, 12, 40);
    // The earlier log would make the hive longer than the later one says.
    const logs = [
      entriesLog([first, STATES[4]!], { sequence: 9 }),
      entriesLog([second, third], { sequence: 10 }),
    ];
    for (const given of [logs, [...logs].reverse()]) expect(count(recoverHive(damaged, given).bytes)).toBe(2);
  });

  it('keep what is behind the bins, and the hive’s own name', () => {
    const longer = Buffer.concat([dirty(first, [10, 9]), Buffer.from('remnant')]);
    const { bytes } = recoverHive(longer, [entriesLog([first, second], { sequence: 9 })]);
    expect(bytes.subarray(-7).toString()).toBe('remnant');
    expect(bytes.subarray(48, 112)).toEqual(first.subarray(48, 112));
    expect(bytes.readUInt32LE(28)).toBe(0);
  });
});

describe('dirty pages (Windows 8 and before)', () => {
  const AT = 0x01d6_0000_0000_0000n;

  it('are put where the bitmap says', () => {
    const half = Buffer.from(first);
    // The write stopped after the first page.
    third.copy(half, 4096, 4096, 8192);
    const log = dirtyPagesLog(first, STATES[4]!, { sequence: 5, lastWritten: AT });
    const { bytes, recovered } = recoverHive(dirty(half, [6, 5], AT), [log, Buffer.alloc(0)]);
    expect(bins(bytes).equals(bins(STATES[4]!))).toBe(true);
    expect(recovered).toMatchObject({ log: 'dirty pages' });
    expect([bytes.readUInt32LE(4), bytes.readUInt32LE(8)]).toEqual([6, 6]);
  });

  it('of the later of two logs count', () => {
    const logs = [
      dirtyPagesLog(first, second, { sequence: 5, lastWritten: AT }),
      dirtyPagesLog(first, third, { sequence: 6, lastWritten: AT + 1n }),
    ];
    for (const given of [logs, [...logs].reverse()])
      expect(count(recoverHive(dirty(first, [6, 5], AT), given).bytes)).toBe(2);
  });

  it('of a log that was cut off give way to the other log’s', () => {
    const cut = dirtyPagesLog(first, third, { sequence: 6, lastWritten: AT + 1n }).subarray(0, -512);
    const whole = dirtyPagesLog(first, second, { sequence: 5, lastWritten: AT });
    expect(count(recoverHive(dirty(first, [6, 5], AT), [whole, cut]).bytes)).toBe(1);
    expect(() => recoverHive(dirty(first, [6, 5], AT), [cut])).toThrow(isDirty);
  });

  it('of an earlier write are refused', () => {
    const log = dirtyPagesLog(first, second, { sequence: 4, lastWritten: AT - 1n });
    expect(() => recoverHive(dirty(first, [6, 5], AT), [log])).toThrow(isDirty);
  });

  it('complete a hive whose base block is damaged', () => {
    const damaged = dirty(first, [6, 5], AT);
    damaged.fill(0, 36, 44);
    const log = dirtyPagesLog(first, second, { sequence: 5, lastWritten: AT });
    expect(count(recoverHive(damaged, [log]).bytes)).toBe(1);
  });
});

describe('a dirty hive is refused', () => {
  it.each([
    ['without logs', []],
    ['with empty logs', [Buffer.alloc(0), Buffer.alloc(4096)]],
    ['with a hive for a log', [first]],
  ])('%s', (_, logs) => {
    expect(() => recoverHive(dirty(first, [2, 1]), logs)).toThrow(isDirty);
  });

  it('where its log was being written itself', () => {
    const log = entriesLog([first, second], { sequence: 9 });
    log.writeUInt32LE(10, 8);
    sealBaseBlock(log);
    expect(() => recoverHive(dirty(first, [9, 8]), [log])).toThrow(isDirty);
  });

  it('where a log asks for more than it brings', () => {
    const log = entriesLog([first, second], { sequence: 9 });
    log.writeUInt32LE(0x4000_0000, 512 + 16);
    sealEntry(log.subarray(512, 512 + log.readUInt32LE(516)));
    expect(() => recoverHive(dirty(first, [9, 8]), [log])).toThrow(isDirty);
  });

  it('as damaged where what comes out is no hive', () => {
    const broken = Buffer.from(second);
    broken.write('xxxx', 4096);
    const log = entriesLog([first, broken], { sequence: 9 });
    expect(() => recoverHive(dirty(first, [9, 8]), [log])).toThrow(
      expect.objectContaining({ code: 'guest.hive-corrupt' }),
    );
  });
});
