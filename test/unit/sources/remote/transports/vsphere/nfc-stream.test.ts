import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import {
  diskStream,
  longestStream,
} from '../../../../../../src/sources/remote/transports/vsphere/nfc-stream.js';

const SECTOR = 512;
const MIB = 1024 * 1024;
const { signal } = new AbortController();

/** A header of the kind streamOptimized, whose grain directory is at the end. */
function header(capacity = MIB): Buffer {
  const sector = Buffer.alloc(SECTOR);
  sector.write('KDMV');
  sector.writeUInt32LE(3, 4);
  sector.writeUInt32LE((1 << 16) | (1 << 17) | 1, 8);
  sector.writeBigUInt64LE(BigInt(capacity / SECTOR), 12);
  sector.writeBigUInt64LE(128n, 20);
  sector.writeUInt32LE(512, 44);
  sector.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 56);
  sector.writeUInt32BE(0x0a200d0a, 73);
  sector.writeUInt16LE(1, 77);
  return sector;
}

function marker(type: number): Buffer {
  const sector = Buffer.alloc(SECTOR);
  sector.writeUInt32LE(type, 12);
  return sector;
}

const stream = (...middle: Buffer[]) => [header(), ...middle, marker(3), header(), marker(0)];

async function read(pieces: readonly Buffer[], capacity = MIB): Promise<Buffer> {
  const body = Readable.from(pieces) as IncomingMessage;
  const answer = { status: 200, headers: {}, body, origin: 'esx1:443' };
  const got: Buffer[] = [];
  for await (const bytes of diskStream(answer, capacity, signal)) got.push(bytes);
  return Buffer.concat(got);
}

describe('diskStream', () => {
  it.each([
    ['as it is', (bytes: Buffer) => [bytes]],
    [
      'in pieces that cross the sectors',
      (bytes: Buffer) => [bytes.subarray(0, 100), bytes.subarray(100, 2_000), bytes.subarray(2_000)],
    ],
    ['byte by byte', (bytes: Buffer) => Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))],
  ])('passes a whole disk on, %s', async (_what, cut) => {
    const whole = Buffer.concat(stream(Buffer.alloc(SECTOR, 7)));
    expect((await read(cut(whole))).equals(whole)).toBe(true);
  });

  it.each<[string, Buffer[], string]>([
    ['nothing', [], 'remote.truncated'],
    ['less than a header', [header().subarray(0, 100)], 'remote.truncated'],
    ['only a header', [header()], 'remote.truncated'],
    ['no end marker', stream().slice(0, -1), 'remote.truncated'],
    ['data after the end', [...stream(), Buffer.alloc(SECTOR, 7)], 'remote.truncated'],
    ['a page of a proxy', [Buffer.from('<html>'.padEnd(SECTOR))], 'remote.interrupted'],
  ])('refuses %s', async (_what, pieces, code) => {
    await expect(read(pieces)).rejects.toMatchObject({ code, retryable: true });
  });

  it('refuses a disk that is smaller than that of the VM, for good', async () => {
    await expect(read(stream(), 2 * MIB)).rejects.toMatchObject({
      code: 'remote.truncated',
      retryable: false,
    });
    await read(stream(), MIB / 2);
  });

  it('ends with a host that does not', async () => {
    const endless = (function* () {
      yield header();
      for (;;) yield Buffer.alloc(MIB);
    })();
    const body = Readable.from(endless) as IncomingMessage;
    const answer = { status: 200, headers: {}, body, origin: 'esx1:443' };
    let got = 0;
    const all = async () => {
      for await (const bytes of diskStream(answer, MIB, signal)) got += bytes.length;
    };
    await expect(all()).rejects.toMatchObject({ code: 'remote.interrupted' });
    expect(got).toBeLessThanOrEqual(longestStream(MIB));
  });
});
