import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../../src/errors/error.js';
import { landVm } from '../../../../src/sources/remote/land-vm.js';
import { Bandwidth } from '../../../../src/sources/remote/landing/bandwidth.js';
import { BLOCK_BYTES } from '../../../../src/sources/remote/landing/block-map.js';
import { type LandingPlace, landFile } from '../../../../src/sources/remote/landing/land-file.js';
import { Meter } from '../../../../src/sources/remote/landing/meter.js';
import type { ByteRange, RemoteFile } from '../../../../src/sources/remote/transports/base/transport.js';
import { FileServer } from './file-server.js';
import { landingEnvironment, specOf } from './landing-environment.js';

const MIB = 1024 * 1024;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

let server: FileServer;
let work: string;
beforeEach(async () => {
  server = await FileServer.start();
  work = mkdtempSync(join(tmpdir(), 'h2k-land-'));
});
afterEach(async () => {
  await server.stop();
  rmSync(work, { recursive: true });
});

const placeIn = (directory: string): LandingPlace => ({
  whole: join(directory, 'disk.raw'),
  part: join(directory, 'disk.raw.part'),
  journal: join(directory, 'disk.raw.journal'),
  unsynced: join(directory, 'disk.raw.unsynced'),
});
const landed = (name: string) => readFileSync(join(work, 'remote/vm', name));
const land = (vm: string[], settings: Parameters<typeof landingEnvironment>[2] = {}, spec = specOf(...vm)) =>
  landVm(spec, landingEnvironment(server.url, work, settings).environment);

describe('landVm', () => {
  it('lands every file with its digest, and leaves nothing partial', async () => {
    const disk = randomBytes(5 * MIB + 77);
    server.serve('/images/web 01.vmdk', disk);
    server.serve('/images/web01.vmx', Buffer.from('displayName = "web01"\n'));
    server.serve('/images/empty.log', Buffer.alloc(0));
    const { environment, reserved, counts } = landingEnvironment(`${server.url}/images/`, work, {
      remote: { chunk_mib: 1 },
    });
    const facts = await landVm(specOf('/web%2001.vmdk', 'web01.vmx', '/empty.log'), environment);
    expect(landed('web 01.vmdk').equals(disk)).toBe(true);
    expect(readdirSync(join(work, 'remote/vm')).sort()).toEqual(['empty.log', 'web 01.vmdk', 'web01.vmx']);
    expect(facts).toMatchObject({ type: 'http', connection: 'web', bytes: disk.length + 22, retries: 0 });
    expect(facts.files[0]).toEqual({ name: 'web 01.vmdk', size: disk.length, sha256: sha256(disk) });
    expect(facts.files[2]).toMatchObject({ size: 0, sha256: sha256(Buffer.alloc(0)) });
    expect(reserved[0]).toBeGreaterThanOrEqual(disk.length + 22);
    expect(counts.read).toBe(disk.length + 22);
    expect(counts.advanced).toBeGreaterThan(0);
    // Several requests of at most 1 MiB, at once.
    expect(server.requests.filter(({ range }) => range !== 'bytes=0-0' && range !== undefined).length).toBe(
      7,
    );
  });

  it('writes no zeros', async () => {
    const disk = Buffer.alloc(12 * MIB);
    randomBytes(MIB).copy(disk, 5 * MIB);
    server.serve('/disk.raw', disk);
    await land(['/disk.raw']);
    expect(landed('disk.raw').equals(disk)).toBe(true);
    expect(statSync(join(work, 'remote/vm/disk.raw')).blocks * 512).toBeLessThan(4 * MIB);
  });

  it('goes on after cuts, with hardly a byte twice', async () => {
    const disk = randomBytes(16 * MIB + 5);
    server.serve('/disk.raw', disk);
    server.behaviour = { cutAfter: 2.5 * MIB };
    const facts = await land(['/disk.raw']);
    expect(facts.retries).toBeGreaterThan(3);
    expect(facts.files[0]?.sha256).toBe(sha256(disk));
    expect(server.sent).toBeLessThan(1.2 * disk.length);
  });

  it('ends a connection that dribbles, and lands the rest by another', async () => {
    const disk = randomBytes(3 * MIB);
    const place = placeIn(work);
    const asked: ByteRange[] = [];
    const file: RemoteFile = {
      ...{ name: 'disk.raw', size: disk.length, validator: '"1"', hasRanges: true, data: null },
      origin: 'host/disk.raw',
      stepSeconds: 0.1,
      async *read(range, signal) {
        asked.push(range!);
        if (asked.length > 1) return yield disk.subarray(range!.start, range!.end);
        yield disk.subarray(0, MIB);
        for (let at = MIB; ; at += 1) {
          await sleep(10, undefined, { signal }).catch(() => signal.throwIfAborted());
          yield disk.subarray(at, at + 1);
        }
      },
    };
    const { environment } = landingEnvironment(server.url, work);
    const landed = await landFile(file, place, undefined, {
      ...environment,
      ...{ parallel: 1, chunkBytes: 8 * MIB, attempts: 2 },
      ...{ bandwidth: new Bandwidth(), meter: new Meter(() => undefined) },
    });
    expect(landed).toMatchObject({ retries: 1, sha256: sha256(disk) });
    expect(asked).toEqual([
      { start: 0, end: disk.length },
      { start: MIB, end: disk.length },
    ]);
  });

  it('lands a stream whose size was only estimated, as long as it is, and keeps it', async () => {
    const streams = [randomBytes(3 * MIB), randomBytes(MIB + 5)];
    const place = placeIn(work);
    let asked = 0;
    const fileOf = (size: number): RemoteFile => ({
      ...{ name: 'disk.raw', size, isEstimate: true, validator: 'state', hasRanges: false, data: null },
      origin: 'host: Hard disk 1',
      async *read() {
        asked += 1;
        yield streams[asked - 1]!;
        if (asked < 2) throw new Hyper2kvmError('remote.interrupted', 'cut', { retryable: true });
      },
    });
    const { environment, counts } = landingEnvironment(server.url, work);
    const meter = new Meter(() => undefined);
    const context = {
      ...environment,
      ...{ parallel: 1, chunkBytes: 8 * MIB, attempts: 2, bandwidth: new Bandwidth(), meter },
    };
    const expected = { size: MIB + 5, sha256: sha256(streams[1]!) };
    expect(await landFile(fileOf(2 * MIB), place, undefined, context)).toMatchObject({
      retries: 1,
      ...expected,
    });
    expect(readFileSync(place.whole).equals(streams[1]!)).toBe(true);
    // A whole disk is progress, though no part of it would be.
    expect(counts.advanced).toBe(1);
    // The estimate may be another one in the next attempt.
    expect(await landFile(fileOf(5 * MIB), place, undefined, context)).toMatchObject({
      retries: 0,
      ...expected,
    });
    expect(asked).toBe(2);
  });

  it('continues in the next attempt where the last one ended', async () => {
    const disk = randomBytes(14 * MIB);
    server.serve('/disk.raw', disk);
    let left = 12;
    server.behaviour = {
      instead(_request, response) {
        left -= 1;
        if (left < 0) response.writeHead(500).end();
        return left < 0;
      },
    };
    const settings = { remote: { chunk_mib: 1, parallel: 2 }, retry: { attempts: 1 } };
    await expect(land(['/disk.raw'], settings)).rejects.toMatchObject({
      code: 'remote.interrupted',
      retryable: true,
    });
    expect(existsSync(join(work, 'remote/vm/disk.raw'))).toBe(false);
    const before = server.sent;
    expect(before).toBeGreaterThan(8 * MIB);
    server.behaviour = {};
    await land(['/disk.raw']);
    expect(landed('disk.raw').equals(disk)).toBe(true);
    expect(server.sent).toBeLessThan(1.1 * disk.length);
    // And once it is whole, nothing is fetched again.
    const all = server.sent;
    await land(['/disk.raw']);
    expect(server.sent - all).toBeLessThanOrEqual(1);
  });

  it('reports no progress of a file that no further attempt can continue', async () => {
    server.serve('/disk.raw', randomBytes(6 * MIB), { etag: null });
    server.behaviour = {
      instead(request, response) {
        const fails = request.headers.range?.startsWith(`bytes=${5 * MIB}-`) === true;
        if (fails) response.destroy();
        return fails;
      },
    };
    const settings = { remote: { chunk_mib: 1, parallel: 2 }, retry: { attempts: 2 } };
    const { environment, counts } = landingEnvironment(server.url, work, settings);
    await expect(landVm(specOf('/disk.raw'), environment)).rejects.toMatchObject({
      code: 'remote.interrupted',
    });
    expect(counts.read).toBeGreaterThanOrEqual(5 * MIB);
    // Else the stage's retries would begin anew each time, and never end.
    expect(counts.advanced).toBe(0);
  });

  it('does not trust blocks that the journal does not name', async () => {
    const disk = Buffer.concat([randomBytes(2 * MIB), Buffer.alloc(2 * MIB), randomBytes(2 * MIB)]);
    server.serve('/disk.raw', disk);
    const settings = { remote: { chunk_mib: 1, parallel: 1 }, retry: { attempts: 1 } };
    let left = 3;
    server.behaviour = {
      instead(_request, response) {
        left -= 1;
        if (left < 0) response.writeHead(503).end();
        return left < 0;
      },
    };
    await expect(land(['/disk.raw'], settings)).rejects.toMatchObject({ code: 'remote.busy' });
    // As a crash in the middle leaves it: data of blocks that are not in the journal, and half a line.
    const part = join(work, 'remote/vm/disk.raw.part');
    const bytes = readFileSync(part);
    bytes.fill(0xaa, 2 * MIB, 5 * MIB);
    writeFileSync(part, bytes);
    writeFileSync(join(work, 'remote/disk.raw.journal'), '2-', { flag: 'a' });
    server.behaviour = {};
    await land(['/disk.raw']);
    expect(landed('disk.raw').equals(disk)).toBe(true);
  });

  it('fetches nothing again that a killed process had written, and trusts no block whose checksum differs', async () => {
    const disk = randomBytes(4 * MIB);
    server.serve('/disk.raw', disk);
    await land(['/disk.raw']);
    // As a kill leaves it before anything was made durable, with one block that a power failure has lost.
    const whole = join(work, 'remote/vm/disk.raw');
    const journal = join(work, 'remote/disk.raw.journal');
    renameSync(whole, `${whole}.part`);
    writeFileSync(journal, `${readFileSync(journal, 'utf8').split('\n')[0]}\n`);
    const block = (index: number) => disk.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
    const line = (index: number) => `${index} ${crc32(block(index)).toString(16).padStart(8, '0')}\n`;
    const count = disk.length / BLOCK_BYTES;
    const lines = Array.from({ length: count - 1 }, (_, index) => line(index));
    writeFileSync(join(work, 'remote/disk.raw.unsynced'), `${lines.join('')}${line(count - 1).slice(0, -3)}`);
    const lost = Buffer.from(disk);
    lost.fill(0, 3 * BLOCK_BYTES, 3 * BLOCK_BYTES + 4096);
    writeFileSync(`${whole}.part`, lost);
    const before = server.sent;
    const facts = await land(['/disk.raw']);
    expect(landed('disk.raw').equals(disk)).toBe(true);
    expect(facts.files[0]?.sha256).toBe(sha256(disk));
    // The lost block, the one whose line was not whole, and the byte that tells the size.
    expect(server.sent - before).toBe(2 * BLOCK_BYTES + 1);
    expect(readdirSync(join(work, 'remote')).sort()).toEqual(['disk.raw.journal', 'vm']);
  });

  it('begins without what was written of a file that has changed since', async () => {
    server.serve('/disk.raw', Buffer.alloc(MIB));
    await land(['/disk.raw']);
    const whole = join(work, 'remote/vm/disk.raw');
    const journal = join(work, 'remote/disk.raw.journal');
    renameSync(whole, `${whole}.part`);
    writeFileSync(journal, `${readFileSync(journal, 'utf8').split('\n')[0]}\n`);
    // Its checksum is also that of the hole which the new part begins with.
    const zeros = crc32(Buffer.alloc(BLOCK_BYTES)).toString(16).padStart(8, '0');
    writeFileSync(join(work, 'remote/disk.raw.unsynced'), `1 ${zeros}\n`);
    const disk = randomBytes(MIB);
    server.serve('/disk.raw', disk);
    await land(['/disk.raw']);
    expect(landed('disk.raw').equals(disk)).toBe(true);
  });

  it('fetches a file from the start that has changed, and refuses a mixture of two states', async () => {
    const first = randomBytes(4 * MIB);
    const second = randomBytes(4 * MIB);
    server.serve('/a.vmdk', first);
    server.serve('/b.vmdk', first);
    const settings = { remote: { chunk_mib: 1, parallel: 1 }, retry: { attempts: 1 } };
    server.behaviour = {
      instead(request, response) {
        const stops = request.url === '/b.vmdk' && request.headers.range?.startsWith('bytes=3');
        if (stops) response.destroy();
        return stops === true;
      },
    };
    await expect(land(['/b.vmdk'], settings)).rejects.toMatchObject({ code: 'remote.interrupted' });
    server.behaviour = {};
    server.serve('/b.vmdk', second);
    await land(['/b.vmdk']);
    expect(landed('b.vmdk').equals(second)).toBe(true);

    await land(['/a.vmdk', '/b.vmdk']);
    server.serve('/b.vmdk', first);
    await expect(land(['/a.vmdk', '/b.vmdk'])).rejects.toMatchObject({
      code: 'remote.source-changed',
      retryable: false,
      message: expect.stringContaining('/b.vmdk has changed since a.vmdk was fetched'),
    });
  });

  it('sees no mixture in a file that is fetched again anyway, because nothing tells its states apart', async () => {
    const [first, second] = [randomBytes(MIB), randomBytes(MIB)];
    server.serve('/a.vmx', first, { etag: null });
    server.serve('/b.vmdk', first);
    await land(['/a.vmx', '/b.vmdk']);
    server.serve('/a.vmx', second, { etag: null });
    server.serve('/b.vmdk', second);
    await land(['/a.vmx', '/b.vmdk']);
    expect([landed('a.vmx').equals(second), landed('b.vmdk').equals(second)]).toEqual([true, true]);
  });

  it('takes a file for whole that was killed before it appeared under its name', async () => {
    server.serve('/a.vmdk', randomBytes(MIB));
    server.serve('/b.vmdk', randomBytes(2 * MIB));
    const failsOnB = {
      instead(request: IncomingMessage, response: ServerResponse) {
        const stops = request.url === '/b.vmdk' && request.headers.range !== 'bytes=0-0';
        if (stops) response.destroy();
        return stops;
      },
    };
    server.behaviour = failsOnB;
    await expect(land(['/a.vmdk', '/b.vmdk'], { retry: { attempts: 1 } })).rejects.toMatchObject({
      code: 'remote.interrupted',
    });
    // As a kill leaves it between the last line of the journal and the rename.
    const whole = join(work, 'remote/vm/a.vmdk');
    renameSync(whole, `${whole}.part`);
    server.behaviour = {};
    server.serve('/b.vmdk', randomBytes(2 * MIB));
    await expect(land(['/a.vmdk', '/b.vmdk'])).rejects.toMatchObject({
      code: 'remote.source-changed',
      message: expect.stringContaining('/b.vmdk has changed since a.vmdk was fetched'),
    });
  });

  it('publishes the new file after a kill before that, and not the old one that is still there', async () => {
    const [first, second] = [randomBytes(2 * MIB), randomBytes(2 * MIB)];
    server.serve('/disk.raw', second);
    await land(['/disk.raw']);
    // As a kill leaves it between the last line of the journal and the rename.
    const whole = join(work, 'remote/vm/disk.raw');
    renameSync(whole, `${whole}.part`);
    writeFileSync(whole, first);
    const facts = await land(['/disk.raw']);
    expect(facts.files[0]?.sha256).toBe(sha256(second));
    expect(landed('disk.raw').equals(second)).toBe(true);
  });

  it('removes the old file and its journal before it begins a changed one', async () => {
    server.serve('/disk.raw', randomBytes(2 * MIB));
    await land(['/disk.raw']);
    server.serve('/disk.raw', randomBytes(2 * MIB));
    // The new part cannot be opened: a kill at the same place leaves as much.
    mkdirSync(join(work, 'remote/vm/disk.raw.part'));
    await expect(land(['/disk.raw'])).rejects.toMatchObject({ code: 'EISDIR' });
    expect(existsSync(join(work, 'remote/disk.raw.journal'))).toBe(false);
    expect(existsSync(join(work, 'remote/vm/disk.raw'))).toBe(false);
  });

  it('notices a file that is replaced during the transfer', async () => {
    server.serve('/disk.raw', randomBytes(5 * MIB));
    let asked = 0;
    server.behaviour = {
      instead() {
        asked += 1;
        if (asked === 4) server.serve('/disk.raw', randomBytes(5 * MIB));
        return false;
      },
    };
    const settings = { remote: { chunk_mib: 1, parallel: 1 }, retry: { attempts: 2 } };
    await expect(land(['/disk.raw'], settings)).rejects.toMatchObject({ code: 'remote.interrupted' });
    await land(['/disk.raw']);
    expect(landed('disk.raw').equals(server.files.get('/disk.raw')!.bytes)).toBe(true);
  });

  it('notices by the time of change alone that a file was replaced, also by an older one', async () => {
    const modified = 'Fri, 02 Jan 2026 10:00:00 GMT';
    server.serve('/disk.raw', randomBytes(4 * MIB), { etag: null, modified });
    let asked = 0;
    server.behaviour = {
      instead() {
        asked += 1;
        // The condition of the request lets an older file pass.
        const older = { etag: null, modified: 'Thu, 01 Jan 2026 10:00:00 GMT' };
        if (asked === 3) server.serve('/disk.raw', randomBytes(4 * MIB), older);
        return false;
      },
    };
    const settings = { remote: { chunk_mib: 1, parallel: 1 }, retry: { attempts: 2 } };
    await expect(land(['/disk.raw'], settings)).rejects.toMatchObject({
      code: 'remote.interrupted',
      message: expect.stringContaining('the file has changed since it was opened'),
    });
  });

  it('takes one stream from a server without ranges, again from the start after a cut', async () => {
    const disk = randomBytes(5 * MIB + 3);
    server.serve('/disk.raw', disk, { etag: null });
    server.behaviour = { ranges: false, cutAfter: 3 * MIB };
    await expect(land(['/disk.raw'])).rejects.toMatchObject({ code: 'remote.interrupted' });
    server.behaviour = { ranges: false };
    const facts = await land(['/disk.raw']);
    expect(landed('disk.raw').equals(disk)).toBe(true);
    expect(facts.files[0]?.sha256).toBe(sha256(disk));
  });

  it.each<[string, number, Record<string, string>]>([
    ['a body without a length', 200, {}],
    ['a range of an unknown whole', 206, { 'content-range': 'bytes 0-0/*' }],
    ['a whole that cannot be', 206, { 'content-range': 'bytes 0-0/9999999999999999' }],
    ['a length that cannot be', 200, { 'content-length': '18446744073709551614' }],
  ])('refuses a file whose size is not told: %s', async (_what, status, headers) => {
    server.behaviour = {
      instead(_request, response) {
        response.writeHead(status, headers);
        response.end(randomBytes(2 * MIB));
        return true;
      },
    };
    const { environment, reserved } = landingEnvironment(server.url, work);
    await expect(landVm(specOf('/disk.raw'), environment)).rejects.toMatchObject({
      code: 'remote.not-allowed',
      retryable: false,
      message: expect.stringContaining('/disk.raw: the server does not tell the size'),
    });
    expect(reserved).toEqual([]);
  });

  it.each(['gzip', 'aws-chunked, br'])(
    'refuses a file that is sent with the encoding %s',
    async (encoding) => {
      const headers = { 'content-encoding': encoding };
      server.serve('/disk.raw', randomBytes(1000), { headers });
      await expect(land(['/disk.raw'])).rejects.toMatchObject({
        code: 'remote.not-allowed',
        message: expect.stringContaining(`compressed (Content-Encoding: ${encoding})`),
      });
      // Apache declares so what the file itself is, and S3 keeps how it was uploaded.
      server.serve('/disk.raw.gz', randomBytes(1000), { headers });
      server.serve('/other.raw', randomBytes(1000), { headers: { 'content-encoding': 'aws-chunked' } });
      await land(['/disk.raw.gz', '/other.raw']);
    },
  );

  it('reads no more than a byte to learn the size', async () => {
    const disk = randomBytes(2 * MIB);
    let sent = 0;
    let isClosed = false;
    server.serve('/disk.raw', disk);
    server.behaviour = {
      instead(request, response) {
        if (request.headers.range !== 'bytes=0-0') return false;
        const { etag } = server.files.get('/disk.raw')!;
        // The whole file and more, as the answer to a question for its first byte.
        response.writeHead(206, {
          etag: etag!,
          'content-range': `bytes 0-${disk.length - 1}/${disk.length}`,
        });
        const timer = setInterval(() => {
          sent += 1;
          response.write(disk);
        }, 5);
        response.once('close', () => {
          clearInterval(timer);
          isClosed = true;
        });
        return true;
      },
    };
    const facts = await land(['/disk.raw']);
    expect(facts.files[0]?.sha256).toBe(sha256(disk));
    expect(isClosed).toBe(true);
    expect(sent).toBeLessThan(20);
  });

  it.each<[string, (header: string) => string]>([
    ['another place', (header) => header.replace(/^bytes \d+-(\d+)/, 'bytes 5-$1')],
    ['another length', (header) => header.replace(/-(\d+)\//, (_, last) => `-${Number(last) + 1}/`)],
    ['another file', (header) => header.replace(/\/\d+$/, '/999999999')],
    ['nothing at all', () => 'bananas'],
  ])('does not count an answer whose Content-Range is of %s', async (_what, change) => {
    server.serve('/disk.raw', randomBytes(3 * MIB));
    server.behaviour = {
      contentRange: (header) => (header.startsWith('bytes 0-0/') ? header : change(header)),
    };
    await expect(land(['/disk.raw'])).rejects.toMatchObject({
      code: 'remote.interrupted',
      message: expect.stringContaining('were asked for, and the answer is of others'),
    });
    expect(readdirSync(join(work, 'remote/vm'))).toEqual(['disk.raw.part']);
    expect(readFileSync(join(work, 'remote/disk.raw.journal'), 'utf8').split('\n')).toHaveLength(2);
  });

  it('does not count a whole file as a part, nor a body that ends early', async () => {
    const disk = randomBytes(3 * MIB);
    server.serve('/disk.raw', disk);
    let asked = 0;
    server.behaviour = {
      instead(request, response) {
        asked += 1;
        if (asked === 2) {
          response.writeHead(200, { 'content-length': disk.length }).end(disk);
          return true;
        }
        if (asked === 3) {
          const [, start, last] = /=(\d+)-(\d+)/.exec(request.headers.range!)!;
          response.writeHead(206, {
            etag: server.files.get('/disk.raw')!.etag!,
            'content-range': `bytes ${start}-${last}/${disk.length}`,
            'content-length': 1000,
          });
          response.end(disk.subarray(0, 1000));
          return true;
        }
        return false;
      },
    };
    const facts = await land(['/disk.raw'], { remote: { parallel: 1 } });
    expect(facts.retries).toBe(2);
    expect(landed('disk.raw').equals(disk)).toBe(true);
  });

  it('says that a file is shorter than its server declares, and tries no more', async () => {
    const disk = randomBytes(2 * MIB);
    server.behaviour = {
      instead(request, response) {
        const [, start = 0, last = 0] = (/=(\d+)-(\d+)/.exec(request.headers.range!) ?? []).map(Number);
        const bytes = disk.subarray(start, Math.min(last + 1, MIB + 5));
        response.writeHead(206, {
          etag: '"1"',
          'content-range': `bytes ${start}-${last}/${disk.length}`,
          'content-length': bytes.length,
        });
        response.end(bytes);
        return true;
      },
    };
    const settings = { remote: { parallel: 1 }, retry: { attempts: 2 } };
    await expect(land(['/disk.raw'], settings)).rejects.toMatchObject({
      code: 'remote.truncated',
      retryable: false,
      message: expect.stringContaining('/disk.raw: 5 of 1048576 bytes came'),
    });
    expect(readdirSync(join(work, 'remote/vm'))).toEqual(['disk.raw.part']);
  });

  it('ends a request that is answered with another protocol', async () => {
    server.behaviour = {
      instead(_request, response) {
        response.socket?.write(
          'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n',
        );
        return true;
      },
    };
    await expect(land(['/disk.raw'])).rejects.toMatchObject({ code: 'remote.interrupted', retryable: true });
  });

  it('waits as long as a busy server asks for', async () => {
    server.serve('/disk.raw', randomBytes(1000));
    let asked = 0;
    server.behaviour = {
      instead(_request, response) {
        asked += 1;
        if (asked === 2) response.writeHead(503, { 'retry-after': '1' }).end();
        return asked === 2;
      },
    };
    const started = performance.now();
    await land(['/disk.raw']);
    expect(performance.now() - started).toBeGreaterThan(950);
  });

  it('refuses a file with another digest than the job names, and keeps nothing of it', async () => {
    const disk = randomBytes(2 * MIB);
    server.serve('/disk.raw', disk);
    const spec = { ...specOf('/disk.raw'), sha256: { 'disk.raw': 'ab'.repeat(32) } };
    await expect(land([], {}, spec)).rejects.toMatchObject({
      code: 'remote.digest-mismatch',
      retryable: false,
      message: expect.stringContaining(sha256(disk)),
    });
    expect(readdirSync(join(work, 'remote/vm'))).toEqual([]);
    await land([], {}, { ...spec, sha256: { 'disk.raw': sha256(disk) } });
    expect(landed('disk.raw').equals(disk)).toBe(true);
  });

  it('holds a file that is landed already to the digest that the job names', async () => {
    const disk = randomBytes(MIB);
    server.serve('/disk.raw', disk);
    await land(['/disk.raw']);
    const spec = { ...specOf('/disk.raw'), sha256: { 'disk.raw': 'ab'.repeat(32) } };
    await expect(land([], {}, spec)).rejects.toMatchObject({
      code: 'remote.digest-mismatch',
      message: expect.stringContaining(sha256(disk)),
    });
    expect(readdirSync(join(work, 'remote/vm'))).toEqual([]);
  });

  it('refuses a digest of a file that is not fetched', async () => {
    server.serve('/disk.raw', randomBytes(1000));
    const spec = { ...specOf('/disk.raw'), sha256: { 'Disk.raw': 'ab'.repeat(32) } };
    await expect(land([], {}, spec)).rejects.toMatchObject({
      code: 'remote.not-allowed',
      retryable: false,
      message: expect.stringContaining('[source] sha256 names Disk.raw, which is not fetched'),
    });
    expect(server.sent).toBe(1);
  });

  it.each([
    [404, 'remote.not-found', false],
    [401, 'remote.auth', false],
    [403, 'remote.permission', false],
    [429, 'remote.busy', true],
    [500, 'remote.interrupted', true],
    [504, 'remote.timeout', true],
  ])('turns %d into %s, with host and path and without the query', async (status, code, retryable) => {
    server.behaviour = {
      instead(_request, response) {
        response.writeHead(status).end();
        return true;
      },
    };
    await expect(land(['/a/disk.raw'], { retry: { attempts: 1 } })).rejects.toMatchObject({
      code,
      retryable,
      message: expect.stringContaining(`127.0.0.1:${server.port}/a/disk.raw: the server answered ${status}`),
    });
  });

  it('says that a signed URL has expired', async () => {
    server.behaviour = {
      instead(_request, response) {
        response
          .writeHead(403)
          .end('<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>');
        return true;
      },
    };
    await expect(land(['/disk.raw'])).rejects.toMatchObject({ code: 'remote.expired', retryable: false });
  });

  it('reports a server that nobody answers for as unreachable', async () => {
    const { url } = server;
    await server.stop();
    await expect(
      landVm(specOf('/disk.raw'), landingEnvironment(url, work).environment),
    ).rejects.toMatchObject({ code: 'remote.unreachable', retryable: true });
    server = await FileServer.start();
  });

  it('stays on the server when it redirects, and goes elsewhere only where the connection says so', async () => {
    const other = await FileServer.start();
    try {
      const disk = randomBytes(MIB);
      server.serve('/real.raw', disk);
      other.serve('/disk.raw', disk);
      const to = (place: string) => ({
        instead(request: IncomingMessage, response: ServerResponse) {
          if (request.url !== '/disk.raw') return false;
          response.writeHead(302, { location: place }).end();
          return true;
        },
      });
      server.behaviour = to('/real.raw');
      await land(['/disk.raw']);
      expect(landed('disk.raw').equals(disk)).toBe(true);

      rmSync(join(work, 'remote'), { recursive: true });
      server.behaviour = to(`${other.url}/disk.raw`);
      await expect(land(['/disk.raw'])).rejects.toMatchObject({
        code: 'remote.not-allowed',
        message: expect.stringContaining(`redirects to ${other.url}, which the connection does not name`),
      });
      expect(other.requests).toEqual([]);
      const names = (host: string) => ({ connection: { redirect_hosts: [host] } });
      for (const elsewhere of ['127.0.0.1:80', `localhost:${other.port}`])
        await expect(land(['/disk.raw'], names(elsewhere))).rejects.toMatchObject({
          code: 'remote.not-allowed',
        });
      expect(other.requests).toEqual([]);
      await land(['/disk.raw'], names(`127.0.0.1:${other.port}`));
      expect(landed('disk.raw').equals(disk)).toBe(true);

      server.behaviour = to('/disk.raw');
      await expect(land(['/disk.raw'])).rejects.toMatchObject({ code: 'remote.not-allowed' });
    } finally {
      await other.stop();
    }
  });

  it('fetches only what an Azure page blob holds', async () => {
    const disk = Buffer.alloc(16 * MIB);
    randomBytes(MIB).copy(disk, 10 * MIB);
    randomBytes(512).copy(disk, 15 * MIB + 512);
    server.serve('/vhds/disk.vhd', disk, { headers: { 'x-ms-blob-type': 'PageBlob' } });
    const pages = (ranges: [number, number][], next: string) =>
      `<?xml version="1.0"?><PageList>${ranges.map(([start, end]) => `<PageRange><Start>${start}</Start><End>${end}</End></PageRange>`).join('')}<NextMarker>${next}</NextMarker></PageList>`;
    server.behaviour = {
      instead(request, response) {
        if (!request.url!.includes('comp=pagelist')) return false;
        const isSecond = request.url!.includes('marker=more');
        response.writeHead(200);
        response.end(
          isSecond
            ? pages([[15 * MIB + 512, 15 * MIB + 1023]], '')
            : pages([[10 * MIB, 11 * MIB - 1]], 'more'),
        );
        return true;
      },
    };
    const facts = await land(['/vhds/disk.vhd']);
    expect(landed('disk.vhd').equals(disk)).toBe(true);
    expect(facts.skipped).toBe(14.75 * MIB);
    expect(server.sent).toBeLessThan(2 * MIB + 10);
  });

  it('tries again when the page list breaks off', async () => {
    server.serve('/disk.vhd', randomBytes(MIB), { headers: { 'x-ms-blob-type': 'PageBlob' } });
    server.behaviour = {
      instead(request, response) {
        if (!request.url!.includes('comp=pagelist')) return false;
        response.writeHead(200, { 'content-length': 1000 });
        response.write('<?xml version="1.0"?><PageList>', () => response.destroy());
        return true;
      },
    };
    await expect(land(['/disk.vhd'])).rejects.toMatchObject({ code: 'remote.interrupted', retryable: true });
  });

  it.each([
    '<html><body>Please log in.</body></html>',
    '<PageList><PageRange><Start></Start><End>511</End></PageRange></PageList>',
  ])('does not take %s for a page list', async (body) => {
    server.serve('/disk.vhd', randomBytes(MIB), { headers: { 'x-ms-blob-type': 'PageBlob' } });
    server.behaviour = {
      instead(request, response) {
        if (!request.url!.includes('comp=pagelist')) return false;
        response.writeHead(200).end(body);
        return true;
      },
    };
    await expect(land(['/disk.vhd'])).rejects.toMatchObject({ code: 'remote.interrupted', retryable: true });
  });

  it('keeps to the bandwidth', async () => {
    server.serve('/disk.raw', randomBytes(3 * MIB));
    const started = performance.now();
    await land(['/disk.raw'], { remote: { bandwidth_mib: 2 } });
    expect(performance.now() - started).toBeGreaterThan(1300);
    // The limit is the process's.
    await land(['/disk.raw']);
  });

  it('ends at once when it is told to, with what is landed in the journal', async () => {
    server.serve('/disk.raw', randomBytes(12 * MIB));
    server.behaviour = { rate: 2 * MIB };
    const abort = new AbortController();
    const { environment, counts } = landingEnvironment(server.url, work, { signal: abort.signal });
    const landing = landVm(specOf('/disk.raw'), environment);
    while (counts.advanced < 16) await new Promise((resolve) => setTimeout(resolve, 10));
    abort.abort(new Error('enough'));
    await expect(landing).rejects.toThrow('enough');
    server.behaviour = {};
    const before = server.sent;
    await land(['/disk.raw']);
    expect(server.sent - before).toBeLessThan(9 * MIB);
  });

  it('is as fast with several connections as they are together', async () => {
    server.serve('/disk.raw', randomBytes(8 * MIB));
    server.behaviour = { rate: MIB };
    const started = performance.now();
    await land(['/disk.raw'], { remote: { parallel: 8, chunk_mib: 1 } });
    // One alone takes eight seconds.
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

describe('a connection’s trust and secret', () => {
  let directory: string;
  let tls: { key: string; cert: string };
  let secure: FileServer;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'h2k-tls-'));
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    execFileSync('openssl', [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-subj', '/CN=peer', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
    ]);
    tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
    secure = await FileServer.start(tls);
    secure.serve('/disk.raw', Buffer.alloc(5000, 7));
  });
  afterEach(async () => {
    await secure.stop();
    rmSync(directory, { recursive: true });
  });
  const landSecure = (connection: object) =>
    landVm(
      specOf('/disk.raw'),
      landingEnvironment(secure.url, work, { connection, retry: { attempts: 1 } }).environment,
    );
  const fingerprint = () =>
    execFileSync('openssl', ['x509', '-noout', '-fingerprint', '-sha256', '-in', join(directory, 'cert.pem')])
      .toString()
      .split('=')[1]!
      .trim();

  it('refuses a certificate of nobody, and shows its fingerprint', async () => {
    await expect(landSecure({})).rejects.toMatchObject({
      code: 'remote.tls',
      retryable: false,
      message: expect.stringContaining(`SHA256:${fingerprint().replaceAll(':', '').toLowerCase()}`),
    });
    expect(secure.requests).toEqual([]);
  });

  it('accepts it by its CA, or by its fingerprint alone', async () => {
    await landSecure({ ca_file: join(directory, 'cert.pem') });
    rmSync(join(work, 'remote'), { recursive: true });
    await landSecure({ fingerprint: `SHA256:${fingerprint()}` });
    expect(landed('disk.raw')).toHaveLength(5000);
  });

  it('sends nothing to a server with another fingerprint', async () => {
    await expect(landSecure({ fingerprint: `SHA256:${'ab'.repeat(32)}` })).rejects.toMatchObject({
      code: 'remote.tls',
    });
    expect(secure.requests).toEqual([]);
  });

  it('sends the credential as a header or as a query, and never to a host that it is redirected to', async () => {
    const other = await FileServer.start(tls);
    other.serve('/disk.raw', Buffer.alloc(5000, 7));
    process.env.CREDENTIALS_DIRECTORY = directory;
    try {
      const trusted = { ca_file: join(directory, 'cert.pem'), secret: 'web' };
      writeFileSync(join(directory, 'remote_web'), 'Authorization: Bearer canary\n');
      await landSecure(trusted);
      expect(secure.requests.every(({ headers }) => headers.authorization === 'Bearer canary')).toBe(true);

      rmSync(join(work, 'remote'), { recursive: true });
      secure.behaviour = {
        instead(_request, response) {
          response.writeHead(307, { location: `${other.url}/disk.raw` }).end();
          return true;
        },
      };
      await landSecure({ ...trusted, redirect_hosts: [`127.0.0.1:${other.port}`] });
      expect(other.requests.length).toBeGreaterThan(0);
      expect(other.requests.some(({ headers }) => 'authorization' in headers)).toBe(false);

      // A dash that a word processor has made longer.
      writeFileSync(join(directory, 'remote_web'), 'Authorization: Bearer a\u2014b\n');
      await expect(landSecure(trusted)).rejects.toMatchObject({ code: 'remote.secret-unreadable' });

      rmSync(join(work, 'remote'), { recursive: true });
      secure.behaviour = {};
      secure.requests.length = 0;
      writeFileSync(join(directory, 'remote_web'), '?sv=2020&sig=a%2Fb%3D');
      await landSecure(trusted);
      expect(secure.requests.every(({ url }) => url === '/disk.raw?sv=2020&sig=a%2Fb%3D')).toBe(true);
    } finally {
      delete process.env.CREDENTIALS_DIRECTORY;
      await other.stop();
    }
  });
});
