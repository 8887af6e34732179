import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configSchema } from '../../../../src/config/schema.js';
import { createEvents } from '../../../../src/daemon/events.js';
import { Releaser } from '../../../../src/daemon/releaser.js';
import type { SourceContext } from '../../../../src/sources/base/source.js';
import { landByUnit, releaseByUnit } from '../../../../src/sources/remote/unit/client.js';
import { FetchServer } from '../../../../src/sources/remote/unit/server.js';
import { testOptions } from '../../engine/fakes.js';
import { enqueue, scratchQueue } from '../../queue/scratch.js';
import { AzureServer } from './azure-server.js';
import { FileServer } from './file-server.js';
import { specOf } from './landing-environment.js';
import { TestBook } from './undo-book.js';

const MIB = 1024 * 1024;

let files: FileServer;
let directory: string;
let socket: string;
let unit: FetchServer;
/** Beside `web`. */
let connections: object[];
beforeEach(async () => {
  connections = [];
  files = await FileServer.start();
  directory = mkdtempSync(join(tmpdir(), 'h2k-unit-'));
  mkdirSync(join(directory, 'work/job1'), { recursive: true });
  socket = join(directory, 'fetch.sock');
  unit = new FetchServer(config, pino({ level: 'silent' }));
  await unit.start(socket);
});
afterEach(async () => {
  await unit.stop();
  await files.stop();
  rmSync(directory, { recursive: true });
});

function config() {
  return configSchema.parse({
    spool: { work: join(directory, 'work') },
    remote: { chunk_mib: 1, connections: [{ name: 'web', type: 'http', url: files.url }, ...connections] },
    retry: { attempts: 1 },
  });
}

function context(signal = new AbortController().signal) {
  const seen = { reserved: [] as number[], percents: [] as number[], read: 0, advanced: 0, log: '' };
  const lines = {
    write(line: string) {
      seen.log += line;
    },
  };
  const given: SourceContext = {
    job: { id: 'job1', vm: 'web01' },
    options: testOptions(),
    workDirectory: join(directory, 'work/job1'),
    signal,
    log: pino({ level: 'debug' }, lines),
    progress: ({ percent }) => void seen.percents.push(percent),
    reserve: async (bytes) => void seen.reserved.push(bytes),
    account({ read = 0 }) {
      seen.read += read;
    },
    advanced() {
      seen.advanced += 1;
    },
  };
  return { given, seen };
}

describe('the fetching unit', () => {
  it('lands for the daemon, after that has reserved the space, and reports what it does', async () => {
    const disk = randomBytes(5 * MIB);
    files.serve('/disk.raw', disk);
    const { given, seen } = context();
    const facts = await landByUnit(socket, new TestBook())(specOf('/disk.raw'), given);
    expect(facts).toMatchObject({ connection: 'web', bytes: disk.length });
    expect(readFileSync(join(directory, 'work/job1/remote/vm/disk.raw')).equals(disk)).toBe(true);
    expect(seen.reserved).toHaveLength(1);
    expect(seen.reserved[0]).toBeGreaterThanOrEqual(disk.length);
    expect(seen).toMatchObject({ read: disk.length, advanced: 1 });
    expect(seen.log).toContain('files of the VM landed');
  });

  it('begins nothing that the daemon has no space for', async () => {
    files.serve('/disk.raw', randomBytes(MIB));
    const { given } = context();
    const full = { ...given, reserve: () => Promise.reject(new Error('no space')) };
    await expect(landByUnit(socket, new TestBook())(specOf('/disk.raw'), full)).rejects.toThrow('no space');
    expect(files.sent).toBeLessThan(2);
  });

  it('gives up on a file that is longer each time, until the next attempt', async () => {
    let length = MIB;
    files.behaviour = {
      instead() {
        length += 1;
        files.serve('/disk.raw', Buffer.alloc(length));
        return false;
      },
    };
    const { given, seen } = context();
    await expect(landByUnit(socket, new TestBook())(specOf('/disk.raw'), given)).rejects.toMatchObject({
      code: 'remote.interrupted',
      retryable: true,
      message: expect.stringContaining('grow'),
    });
    expect(seen.reserved).toHaveLength(5);
  });

  it('passes errors on with everything that they have', async () => {
    const { given } = context();
    await expect(landByUnit(socket, new TestBook())(specOf('/nothing'), given)).rejects.toMatchObject({
      code: 'remote.not-found',
      retryable: false,
      advice: expect.stringContaining('below the URL of the connection'),
    });
    await expect(
      landByUnit(socket, new TestBook())({ ...specOf('/x'), connection: 'vc1' }, given),
    ).rejects.toMatchObject({
      code: 'remote.connection-unknown',
    });
  });

  it('ends a landing when the daemon ends the connection, and lets the next one of the job wait for that', async () => {
    const disk = randomBytes(24 * MIB);
    files.serve('/disk.raw', disk);
    files.behaviour = { rate: 8 * MIB };
    const abort = new AbortController();
    const first = context(abort.signal);
    const landing = landByUnit(socket, new TestBook())(specOf('/disk.raw'), first.given);
    while (first.seen.advanced === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    abort.abort(new Error('the job was cancelled'));
    const second = landByUnit(socket, new TestBook())(specOf('/disk.raw'), context().given);
    await expect(landing).rejects.toThrow('the job was cancelled');
    files.behaviour = {};
    await second;
    expect(readFileSync(join(directory, 'work/job1/remote/vm/disk.raw')).equals(disk)).toBe(true);
  });

  it('is reported as interrupted when it ends, and as unreachable when it is not there', async () => {
    files.serve('/disk.raw', randomBytes(8 * MIB));
    files.behaviour = { rate: 2 * MIB };
    const { given, seen } = context();
    const landing = landByUnit(socket, new TestBook())(specOf('/disk.raw'), given);
    const ended = expect(landing).rejects.toMatchObject({ code: 'remote.interrupted', retryable: true });
    while (seen.advanced === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await unit.stop();
    await ended;
    await expect(landByUnit(socket, new TestBook())(specOf('/disk.raw'), given)).rejects.toMatchObject({
      code: 'remote.unreachable',
      retryable: true,
      advice: expect.stringContaining('systemctl enable --now hyper2kvm-fetch'),
    });
    unit = new FetchServer(config, pino({ level: 'silent' }));
    await unit.start(socket);
  });

  it('answers only its own user, and lands nowhere but in work directories', async () => {
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    const ask = (path: string, body: string) =>
      new Promise<string>((resolve, reject) => {
        const asked = request({ socketPath: socket, method: 'POST', path }, async (answer) => {
          let text = '';
          for await (const chunk of answer) text += chunk;
          resolve(text);
        });
        asked.once('error', reject);
        asked.end(body);
      });
    const source = specOf('/disk.raw');
    for (const job of ['../../etc', 'a/b', '']) {
      const answer = JSON.parse(await ask('/v1/land', JSON.stringify({ job, source, reserved: 9 * MIB })));
      expect(answer.event).toBe('failed');
    }
    expect(files.requests).toEqual([]);
    expect(JSON.parse(await ask('/v1/other', '{}'))).toMatchObject({ error: { code: 'api.no-route' } });
    expect(JSON.parse(await ask('/v1/land', 'x'))).toMatchObject({ event: 'failed' });
  });

  it('takes the place of a socket that outlived its process, and not that of a process', async () => {
    const other = join(directory, 'other.sock');
    const second = new FetchServer(config, pino({ level: 'silent' }));
    await expect(second.start(socket)).rejects.toMatchObject({ code: 'api.socket' });
    writeFileSync(other, '');
    rmSync(other);
    await second.start(other);
    await second.stop();
  });
});

describe('what the fetching unit makes elsewhere', () => {
  const before = process.env.CREDENTIALS_DIRECTORY;
  let keys: string;
  let azure: AzureServer;
  beforeEach(async () => {
    keys = mkdtempSync(join(tmpdir(), 'h2k-keys-'));
    azure = await AzureServer.start(keys);
    process.env.CREDENTIALS_DIRECTORY = keys;
    writeFileSync(join(keys, 'remote_azure'), azure.secret, { mode: 0o600 });
    connections.push({ name: 'az', ...azure.connection });
  });
  afterEach(async () => {
    if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
    else process.env.CREDENTIALS_DIRECTORY = before;
    await azure.files.stop();
    rmSync(keys, { recursive: true });
  });

  /** A VM that runs, and the order to copy it. */
  function running(disk: Buffer) {
    const vm = azure.vm('web01', 'running', [azure.disk('os', disk)]);
    return { connection: 'az', vm: [vm], transport: 'auto', power: 'snapshot', sha256: {} };
  }

  it('is recorded by the daemon before, and reported when it is undone', async () => {
    const disk = randomBytes(MIB);
    const source = running(disk);
    const { given, seen } = context();
    const full = new TestBook();
    full.add = () => Promise.reject(new Error('the database is full'));
    await expect(landByUnit(socket, full)(source, given)).rejects.toThrow('the database is full');
    expect(azure.calls.every((call) => call.startsWith('GET '))).toBe(true);

    const book = new TestBook();
    const facts = await landByUnit(socket, book)(source, given);
    expect(facts).toMatchObject({ power: 'snapshot', point_in_time: expect.any(String) });
    expect(readFileSync(join(directory, 'work/job1/remote/vm/web01-os.vhd')).equals(disk)).toBe(true);
    expect([book.records, [...azure.snapshots], [...azure.accesses]]).toEqual([[], [], []]);
    expect(seen.log).not.toContain('canary-sas');
  });

  it('is never what somebody else has made, also if that begins after the record is written', async () => {
    const vm = azure.vm('web01', 'deallocated', [
      azure.disk('os', randomBytes(MIB)),
      azure.disk('data', randomBytes(MIB)),
    ]);
    const source = { connection: 'az', vm: [vm], transport: 'auto', power: 'off', sha256: {} };
    const id = azure.idOf('disks', 'os').toLowerCase();
    const book = new TestBook();
    azure.instead = (call) => {
      if (call.endsWith('/beginGetAccess')) azure.accesses.set(id, 'theirs');
      return undefined;
    };
    const land = () => landByUnit(socket, book)(source, context().given);
    await expect(land()).rejects.toMatchObject({ code: 'remote.locked' });
    expect([[...azure.accesses], book.records]).toEqual([[[id, 'theirs']], []]);

    azure.accesses.clear();
    // The records are written, and the next question already fails.
    azure.instead = () =>
      book.records.length > 0 ? { status: 503, headers: { 'retry-after': '0' } } : undefined;
    await expect(land()).rejects.toMatchObject({ code: 'remote.busy' });
    expect(book.records).toEqual([]);
  });

  it('is gone after a cancelled job: what the unit still makes is made before it is undone', async () => {
    const queue = scratchQueue();
    await enqueue(queue, 'job1');
    const cancel = new AbortController();
    const { given } = context(cancel.signal);
    azure.instead = (call) => {
      // The request for the snapshot is on its way, and its answer has not come.
      if (call.startsWith('PUT')) cancel.abort(new Error('cancelled'));
      return undefined;
    };
    const landing = landByUnit(socket, queue.undo)(running(randomBytes(MIB)), given);
    await expect(landing).rejects.toThrow('cancelled');
    expect(await queue.undo.all()).toMatchObject([{ what: 'snapshot' }, { what: 'access' }]);
    queue.set('job1', { state: 'cancelled' });
    const log = pino({ level: 'silent' });
    const parts = { config, queue, events: createEvents(), release: releaseByUnit(socket), log };
    const released = await new Releaser(parts).release();
    expect(released.map(({ error }) => error)).toEqual([null, null]);
    expect([azure.snapshots.size, azure.accesses.size]).toEqual([0, 0]);
    expect(await queue.undo.all()).toEqual([]);
  });
});
