import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Connection } from '../../../../../../src/config/connections.js';
import { configSchema } from '../../../../../../src/config/schema.js';
import { Hyper2kvmError } from '../../../../../../src/errors/error.js';
import { landVm } from '../../../../../../src/sources/remote/land-vm.js';
import { releaseHere } from '../../../../../../src/sources/remote/release.js';
import { DiskAccess } from '../../../../../../src/sources/remote/transports/azure/disk-access.js';
import { undoingOf } from '../../../../../../src/sources/remote/transports/base/undoing.js';
import { reachHosts } from '../../../../../../src/sources/remote/transports/registry.js';
import { AzureServer } from '../../azure-server.js';
import { FileServer } from '../../file-server.js';
import { landingEnvironment } from '../../landing-environment.js';
import { TestBook } from '../../undo-book.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const before = process.env.CREDENTIALS_DIRECTORY;
let server: AzureServer;
let directory: string;
let book: TestBook;
let log: string;
let keys: string;
beforeAll(() => {
  keys = mkdtempSync(join(tmpdir(), 'h2k-azure-'));
});
afterAll(() => rmSync(keys, { recursive: true }));
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-azure-'));
  server = await AzureServer.start(keys);
  process.env.CREDENTIALS_DIRECTORY = directory;
  writeFileSync(join(directory, 'remote_azure'), `${server.secret}\n`, { mode: 0o600 });
  book = new TestBook();
  log = '';
});
afterEach(async () => {
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
  await server.files.stop();
  rmSync(directory, { recursive: true });
});

/** A disk of which most is empty. */
function sparse(): Buffer {
  const disk = Buffer.alloc(4 * MIB + 512);
  randomBytes(256 * KIB).copy(disk, MIB);
  randomBytes(512).copy(disk, 4 * MIB);
  return disk;
}

const landed = (name: string) => readFileSync(join(directory, 'remote/vm', name));

async function land(
  vm: string,
  {
    power = 'off',
    connection = {},
    isKept = true,
    signal,
  }: { power?: string; connection?: object; isKept?: boolean; signal?: AbortSignal } = {},
) {
  const { environment } = landingEnvironment(server.files.url, directory, {
    connection: { ...server.connection, ...connection },
    remote: { chunk_mib: 1, parallel: 2 },
    retry: { attempts: 1 },
    ...(signal === undefined ? {} : { signal }),
  });
  const lines = {
    write(line: string) {
      log += line;
    },
  };
  const undoing = await undoingOf('job1', isKept ? book : null);
  const spec = { connection: 'web', vm: [vm], transport: 'auto', power, sha256: {} };
  return landVm(spec, { ...environment, log: pino({ level: 'warn' }, lines), undoing });
}

function config() {
  return configSchema.parse({ remote: { connections: [{ name: 'web', ...server.connection }] } });
}

function release() {
  const records = book.records.map(({ job: _, ...record }) => record);
  return releaseHere('job1', records, {
    config: config(),
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
  });
}

const isClean = () => server.accesses.size === 0 && server.snapshots.size === 0;

describe('a VM of Azure that is deallocated', () => {
  it('is landed with what Azure says of it, only what its disks hold, and no access is left', async () => {
    const [os, data] = [sparse(), sparse()];
    const nic = `/subscriptions/${server.connection.subscription}/resourcegroups/group-1/providers/microsoft.network/networkinterfaces/nic1`;
    server.nics.set(nic, '00-0D-3A-2B-3C-4D');
    const vm = server.vm(
      'web01',
      'deallocated',
      [server.disk('web01_os', os), server.disk('web01_data', data)],
      {
        networkProfile: { networkInterfaces: [{ id: nic }] },
        securityProfile: { uefiSettings: { secureBootEnabled: true, vTpmEnabled: true } },
      },
    );
    const facts = await land(vm);
    expect(landed('web01-os.vhd').equals(os)).toBe(true);
    expect(landed('web01-data1.vhd').equals(data)).toBe(true);
    expect(landed('web01.vmx').toString().split('\n')).toEqual(
      expect.arrayContaining([
        'displayName = "web01"',
        'memSize = "4096"',
        'numvcpus = "2"',
        'firmware = "efi"',
        'uefi.secureBoot.enabled = "TRUE"',
        'vtpm.present = "TRUE"',
        'scsi0:0.fileName = "web01-os.vhd"',
        'scsi0:1.fileName = "web01-data1.vhd"',
        'ethernet0.address = "00:0d:3a:2b:3c:4d"',
      ]),
    );
    expect(facts).toMatchObject({
      type: 'azure',
      transport: 'azure',
      power: 'off',
      moref: vm,
      point_in_time: null,
    });
    expect(facts.skipped).toBeGreaterThan(6 * MIB);
    expect(server.sent).toBeLessThan(2 * MIB);
    expect(isClean()).toBe(true);
    expect(book.records).toEqual([]);
    expect(server.calls.filter((call) => call.includes('snapshots'))).toEqual([]);
  });

  it('is described without what the connection may not read', async () => {
    const vm = server.vm('web01', 'deallocated', [server.disk('os', sparse())]);
    server.instead = (call) =>
      call.endsWith('/vmSizes')
        ? { status: 403, body: { error: { code: 'AuthorizationFailed', message: 'no' } } }
        : undefined;
    await land(vm);
    expect(landed('web01.vmx').toString()).not.toContain('memSize');
    expect(log).toContain('the size of the VM cannot be read');
  });

  it('is described without what Azure describes in another way than expected', async () => {
    const vm = server.vm('web01', 'deallocated', [server.disk('os', sparse())]);
    server.instead = (call) =>
      call.endsWith('/vmSizes') ? { status: 200, body: { value: [{ name: 'Standard_B2s' }] } } : undefined;
    await land(vm);
    expect(landed('web01.vmx').toString()).not.toContain('memSize');
  });

  it('continues after a failure, with a new access', async () => {
    const disk = randomBytes(4 * MIB);
    const vm = server.vm('web01', 'deallocated', [server.disk('os', disk)]);
    server.behave({ cutAfter: 1.5 * MIB });
    await expect(land(vm)).rejects.toMatchObject({ code: 'remote.interrupted', retryable: true });
    expect(isClean()).toBe(true);
    expect(book.records).toEqual([]);
    server.behave({});
    await land(vm);
    expect(landed('web01-os.vhd').equals(disk)).toBe(true);
    expect(server.sent).toBeLessThan(1.9 * disk.length);
  });

  it('is fetched anew if it was written to after a failure', async () => {
    const vm = server.vm('web01', 'deallocated', [server.disk('os', randomBytes(4 * MIB))]);
    server.behave({ cutAfter: 1.5 * MIB });
    await expect(land(vm)).rejects.toMatchObject({ code: 'remote.interrupted' });
    server.behave({});
    const disk = randomBytes(4 * MIB);
    server.disk('os', disk);
    await land(vm);
    expect(landed('web01-os.vhd').equals(disk)).toBe(true);
  });

  it('is read on when its access was replaced by another', async () => {
    const disk = randomBytes(4 * MIB);
    const vm = server.vm('web01', 'deallocated', [server.disk('os', disk)]);
    let blobs = 0;
    server.behave({});
    const { instead } = server.files.behaviour;
    server.files.behaviour.instead = (request, response) => {
      if (request.url!.startsWith('/md-')) blobs += 1;
      // As an operator’s `revoke-access` does it.
      if (blobs === 4) server.accesses.clear();
      return instead!(request, response);
    };
    const facts = await land(vm);
    expect(landed('web01-os.vhd').equals(disk)).toBe(true);
    expect(facts.retries).toBe(0);
    expect(server.calls.filter((call) => call.endsWith('/beginGetAccess'))).toHaveLength(2);
    expect(isClean()).toBe(true);
  });
});

describe('a VM of Azure that runs', () => {
  it('is refused, also if it was only shut down from within', async () => {
    for (const power of ['running', 'stopped'] as const) {
      const vm = server.vm('web01', power, [server.disk('os', sparse())]);
      await expect(land(vm)).rejects.toMatchObject({
        code: 'remote.powered-on',
        advice: expect.stringContaining('az vm deallocate'),
      });
    }
    expect(server.calls.every((call) => call.startsWith('GET '))).toBe(true);
  });

  it('is copied by snapshots with `power = "snapshot"`, which are gone afterwards', async () => {
    const [os, data] = [sparse(), sparse()];
    const vm = server.vm('web01', 'running', [server.disk('os', os), server.disk('data', data)]);
    const facts = await land(vm, { power: 'snapshot' });
    expect(landed('web01-os.vhd').equals(os)).toBe(true);
    expect(landed('web01-data1.vhd').equals(data)).toBe(true);
    expect(facts).toMatchObject({
      power: 'snapshot',
      point_in_time: '2026-11-28T02:00:00Z',
      quiesced: false,
    });
    expect(server.calls).toContain('PUT snapshots/hyper2kvm-job1-0');
    expect(isClean()).toBe(true);
    expect(book.records).toEqual([]);
  });

  it('continues from the snapshot that an attempt has left, even if the VM was written to', async () => {
    const disk = randomBytes(4 * MIB);
    const vm = server.vm('web01', 'running', [server.disk('os', disk)]);
    server.behave({ cutAfter: 1.5 * MIB });
    await expect(land(vm, { power: 'snapshot' })).rejects.toMatchObject({ code: 'remote.interrupted' });
    expect([...server.snapshots.keys()]).toHaveLength(1);
    expect(server.accesses.size).toBe(0);
    expect(book.records).toMatchObject([{ job: 'job1', what: 'snapshot' }]);
    server.behave({});
    server.disk('os', randomBytes(4 * MIB), { isAttached: true });
    await land(vm, { power: 'snapshot' });
    expect(landed('web01-os.vhd').equals(disk)).toBe(true);
    expect(server.calls.filter((call) => call.startsWith('PUT'))).toHaveLength(1);
    expect(server.sent).toBeLessThan(1.9 * disk.length);
    expect(isClean()).toBe(true);
  });

  it.each([
    ['nobody would continue', { isKept: false }, 'cut'],
    ['the failure is final', {}, 'changed'],
  ])('leaves no snapshot if %s', async (_what, settings, how) => {
    const vm = server.vm('web01', 'running', [server.disk('os', randomBytes(4 * MIB))]);
    if (how === 'cut') server.behave({ cutAfter: MIB });
    else
      server.instead = (call) =>
        call.endsWith('/beginGetAccess')
          ? { status: 403, body: { error: { code: 'AuthorizationFailed', message: 'no' } } }
          : undefined;
    await expect(land(vm, { power: 'snapshot', ...settings })).rejects.toThrow(Hyper2kvmError);
    expect(isClean()).toBe(true);
    expect(book.records).toEqual([]);
  });

  it('makes nothing before it is recorded, and does not touch a snapshot of others', async () => {
    const vm = server.vm('web01', 'running', [server.disk('os', sparse())]);
    book.add = () => Promise.reject(new Error('the database is full'));
    await expect(land(vm, { power: 'snapshot' })).rejects.toThrow('the database is full');
    expect(server.calls.every((call) => call.startsWith('GET '))).toBe(true);

    book = new TestBook();
    const id = server.idOf('snapshots', 'hyper2kvm-job1-0').toLowerCase();
    server.snapshots.set(id, { bytes: sparse(), etag: '"x"', tags: {}, created: '2026-01-01T00:00:00Z' });
    await expect(land(vm, { power: 'snapshot' })).rejects.toMatchObject({ code: 'remote.not-allowed' });
    expect(server.snapshots.has(id)).toBe(true);
    expect(book.records.filter(({ what }) => what === 'snapshot')).toEqual([]);
  });
});

describe('what was made on Azure', () => {
  it('is undone after a kill, in the order in which it may be', async () => {
    const vm = server.vm('web01', 'running', [server.disk('os', randomBytes(4 * MIB))]);
    const stop = new AbortController();
    server.behave({ rate: MIB });
    const ended = land(vm, { power: 'snapshot', signal: stop.signal }).catch((error: unknown) => error);
    while (server.sent < 256 * KIB) await new Promise((resolve) => setTimeout(resolve, 10));
    // Nothing is undone any more by the process itself.
    server.instead = (call) => (call.startsWith('GET') ? undefined : { status: 500 });
    stop.abort(new Error('killed'));
    await ended;
    expect(isClean()).toBe(false);
    expect(log).toContain('remote.left-behind');
    expect(book.records.map(({ what }) => what)).toEqual(['snapshot', 'access']);
    expect((await release()).map(({ error }) => error?.retryable)).toEqual([true, true]);
    server.instead = null;
    expect((await release()).map(({ error }) => error)).toEqual([null, null]);
    expect(isClean()).toBe(true);
    // A second time there is nothing, which is as good.
    expect((await release()).map(({ error }) => error)).toEqual([null, null]);
  });

  it('is read on by the next attempt, also if its access was left behind', async () => {
    const disk = sparse();
    const vm = server.vm('web01', 'deallocated', [server.disk('os', disk)]);
    const target = server.idOf('disks', 'os');
    server.accesses.set(target.toLowerCase(), 'old');
    book.records = [{ job: 'job1', connection: 'web', what: 'access', target }];
    await land(vm);
    expect(landed('web01-os.vhd').equals(disk)).toBe(true);
    expect(isClean()).toBe(true);
  });

  it('is never what somebody else has made', async () => {
    const vm = server.vm('web01', 'deallocated', [server.disk('os', sparse())]);
    const id = server.idOf('disks', 'os').toLowerCase();
    server.accesses.set(id, 'theirs');
    await expect(land(vm)).rejects.toMatchObject({ code: 'remote.locked', retryable: true });
    expect(server.accesses.get(id)).toBe('theirs');
    expect(book.records).toEqual([]);
    // Also if theirs begins in between.
    server.accesses.clear();
    server.instead = (call) => {
      if (call.endsWith('/beginGetAccess')) server.accesses.set(id, 'theirs');
      return undefined;
    };
    await expect(land(vm)).rejects.toMatchObject({ code: 'remote.locked' });
    expect(server.accesses.get(id)).toBe('theirs');
    expect(book.records).toEqual([]);
  });

  it.each(['ActiveUpload', 'ActiveSASFrozen'])(
    'is not begun on a disk in the state %s',
    async (diskState) => {
      const vm = server.vm('web01', 'deallocated', [
        server.disk('os', sparse(), { properties: { diskState } }),
      ]);
      await expect(land(vm)).rejects.toMatchObject({ code: 'remote.locked', retryable: true });
      expect(server.calls.every((call) => call.startsWith('GET '))).toBe(true);
    },
  );

  it('is not recorded any more if it was not reached', async () => {
    const vm = server.vm('web01', 'deallocated', [
      server.disk('os', sparse()),
      server.disk('data', sparse()),
    ]);
    server.instead = (call) => (call === 'POST os/beginGetAccess' ? { status: 500 } : undefined);
    await expect(land(vm)).rejects.toMatchObject({ code: 'remote.interrupted' });
    expect(book.records).toEqual([]);
  });

  it('continues from its snapshot after the daemon was stopped', async () => {
    const vm = server.vm('web01', 'running', [server.disk('os', randomBytes(4 * MIB))]);
    const stop = new AbortController();
    server.behave({ rate: MIB });
    const ended = land(vm, { power: 'snapshot', signal: stop.signal }).catch((error: unknown) => error);
    while (server.sent < 256 * KIB) await new Promise((resolve) => setTimeout(resolve, 10));
    stop.abort(new Hyper2kvmError('daemon.stopping', 'the daemon is stopping'));
    expect(await ended).toMatchObject({ code: 'daemon.stopping' });
    expect([server.snapshots.size, server.accesses.size]).toEqual([1, 0]);
    expect(book.records).toMatchObject([{ what: 'snapshot' }]);
  });

  it('stays recorded while its subscription cannot be seen', async () => {
    const target = server.idOf('snapshots', 'hyper2kvm-job1-0');
    book.records = [{ job: 'job1', connection: 'web', what: 'snapshot', target }];
    server.instead = () => ({
      status: 404,
      body: { error: { code: 'SubscriptionNotFound', message: 'not found' } },
    });
    expect(await release()).toMatchObject([{ error: { code: 'remote.not-found' } }]);
  });

  it.each([
    [
      'web',
      'snapshot',
      '/subscriptions/x/resourceGroups/y/providers/Microsoft.Compute/snapshots/theirs',
      'remote.not-allowed',
    ],
    ['web', 'disk', '/x', 'remote.not-allowed'],
    ['gone', 'access', '/x', 'remote.connection-unknown'],
  ])('is undone only if it can be one of ours: %s %s', async (connection, what, target, code) => {
    book.records = [{ job: 'job1', connection, what, target }];
    expect(await release()).toMatchObject([{ error: { code } }]);
    expect(server.calls).toEqual([]);
  });
});

describe('a disk or a snapshot by itself', () => {
  it('is landed', async () => {
    const disk = sparse();
    const id = server.disk('data', disk);
    await land(id);
    expect(landed('data.vhd').equals(disk)).toBe(true);
    const snapshot = server.idOf('snapshots', 'monday');
    server.snapshots.set(snapshot.toLowerCase(), {
      bytes: disk,
      etag: '"s"',
      tags: {},
      created: '2026-01-01T00:00:00Z',
    });
    await land(snapshot);
    expect(landed('monday.vhd').equals(disk)).toBe(true);
    expect(server.snapshots.size).toBe(1);
    expect(server.accesses.size).toBe(0);
  });
});

describe('what Azure refuses', () => {
  const vmOf = () => server.vm('web01', 'deallocated', [server.disk('os', sparse())]);
  const refuse = (status: number, code: string) => () => {
    server.instead = () => ({
      status,
      body: { error: { code, message: `no right to ${code}` } },
      headers: { 'retry-after': '0' },
    });
  };
  const cases: [string, () => unknown, string, boolean][] = [
    [
      'a secret that has expired',
      () => {
        server.secret = 'another';
        server.secretError = 7_000_222;
      },
      'remote.expired',
      false,
    ],
    ['a wrong secret', () => writeFileSync(join(directory, 'remote_azure'), 'wrong\n'), 'remote.auth', false],
    ['no secret', () => rmSync(join(directory, 'remote_azure')), 'remote.secret-unreadable', false],
    ['a missing right', refuse(403, 'AuthorizationFailed'), 'remote.permission', false],
    ['a resource that is not there', refuse(404, 'ResourceNotFound'), 'remote.not-found', false],
    ['too many requests', refuse(429, 'TooManyRequests'), 'remote.busy', true],
    ['another operation', refuse(409, 'Conflict'), 'remote.locked', true],
    ['a failure of its own', refuse(500, 'InternalServerError'), 'remote.interrupted', true],
  ];

  it.each(cases)('%s', async (_what, prepare, code, retryable) => {
    const vm = vmOf();
    prepare();
    const error = await land(vm).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, retryable });
    expect(`${String(error)} ${log}`).not.toContain(server.secret);
    expect(isClean()).toBe(true);
  });

  it.each([
    [429, 'remote.busy'],
    [500, 'remote.interrupted'],
  ])('a token for the moment (%d), which does not mean that the secret is wrong', async (status, code) => {
    const vm = vmOf();
    const { instead } = server.files.behaviour;
    server.files.behaviour.instead = (request, response) => {
      if (!request.url!.includes('/oauth2/v2.0/token')) return instead!(request, response);
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"error":"temporary"}');
      return true;
    };
    await expect(land(vm)).rejects.toMatchObject({ code, retryable: true });
  });

  it('names the action that is missing', async () => {
    const vm = vmOf();
    refuse(403, 'AuthorizationFailed')();
    await expect(land(vm)).rejects.toMatchObject({
      message: expect.stringContaining('no right to AuthorizationFailed'),
    });
  });

  it('sends its token nowhere else', async () => {
    const vm = vmOf();
    server.instead = (call) =>
      call.endsWith('/beginGetAccess')
        ? { status: 202, headers: { location: 'https://127.0.0.1:1/x', 'retry-after': '0' } }
        : undefined;
    await expect(land(vm)).rejects.toMatchObject({ code: 'remote.not-allowed' });
  });

  it('an operation whose state it does not tell is asked for again', async () => {
    const vm = vmOf();
    server.instead = (call) =>
      call.endsWith('/beginGetAccess')
        ? {
            status: 202,
            headers: {
              'azure-asyncoperation': `${server.files.url}${vm}?api-version=1`,
              'retry-after': '0',
            },
          }
        : undefined;
    await expect(land(vm)).rejects.toMatchObject({ code: 'remote.interrupted', retryable: true });
  });

  it('verifies the certificate before a secret is sent', async () => {
    const vm = vmOf();
    await expect(land(vm, { connection: { ca_file: undefined } })).rejects.toMatchObject({
      code: 'remote.tls',
    });
    expect(server.files.requests).toEqual([]);
  });

  it.each([
    ['an encrypted disk', { encryptionSettingsCollection: { enabled: true } }],
    [
      'a confidential one',
      { securityProfile: { securityType: 'ConfidentialVM_DiskEncryptedWithPlatformKey' } },
    ],
  ])('%s is of no use', async (_what, properties) => {
    const vm = server.vm('web01', 'deallocated', [server.disk('os', sparse(), { properties })]);
    await expect(land(vm)).rejects.toMatchObject({ code: 'remote.unsupported-disk' });
  });

  it.each([
    ['web01', 'remote.not-found'],
    [
      '/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers/Microsoft.Compute/images/x',
      'remote.not-found',
    ],
    [
      '/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/../providers/Microsoft.Compute/disks/x',
      'remote.not-found',
    ],
    [
      '/subscriptions/22222222-2222-3333-4444-555555555555/resourceGroups/g/providers/Microsoft.Compute/disks/x',
      'remote.not-allowed',
    ],
  ])('%s is nothing that can be fetched', async (vm, code) => {
    await expect(land(vm)).rejects.toMatchObject({ code });
    expect(server.calls).toEqual([]);
  });
});

describe('the access to a disk', () => {
  it('is renewed when half of its day is over, once for all requests', async () => {
    const calls: string[] = [];
    const arm = {
      async run(_method: string, path: string) {
        calls.push(path);
        return { accessSAS: `https://md-1.blob.example.com/a?sig=${calls.length}` };
      },
    };
    let now = 0;
    const signal = new AbortController().signal;
    const access = new DiskAccess(arm as never, '/disk', () => now);
    await access.begin(signal);
    now = 12 * 3_600_000;
    expect((await access.secret(signal)).query).toBe('sig=1');
    now += 1;
    const both = await Promise.all([access.secret(signal), access.secret(signal)]);
    expect(both.map(({ query }) => query)).toEqual(['sig=3', 'sig=3']);
    expect(calls).toEqual(['/disk/beginGetAccess', '/disk/endGetAccess', '/disk/beginGetAccess']);
  });
});

describe('the address of a disk', () => {
  const signal = new AbortController().signal;
  const accessAt = (addresses: string[]) => {
    const arm = {
      async run(_method: string, path: string) {
        return path.endsWith('/beginGetAccess') ? { accessSAS: addresses.shift() } : null;
      },
    };
    let now = 0;
    const access = new DiskAccess(arm as never, '/disk', () => now);
    return {
      access,
      wait(hours: number) {
        now += hours * 3_600_000;
      },
    };
  };

  it('is not one without TLS, whatever its name begins with', async () => {
    const { access } = accessAt(['http://127.0.0.1.example.com/a?sig=1']);
    await expect(access.begin(signal)).rejects.toMatchObject({ code: 'remote.not-allowed' });
  });

  it('makes the attempt begin again if it is another after a renewal, and not fail for good', async () => {
    const { access, wait } = accessAt(['https://a.example.com/1?sig=1', 'https://b.example.com/2?sig=2']);
    await access.begin(signal);
    wait(13);
    const moved = { code: 'remote.interrupted', retryable: true };
    await expect(access.secret(signal)).rejects.toMatchObject(moved);
    await expect(access.secret(signal)).rejects.toMatchObject(moved);
    await expect(access.renewFor({ headers: {}, query: 'sig=2' }, signal)).rejects.toMatchObject(moved);
  });
});

describe('a connection without a secret', () => {
  // The library looks only once where the service is that gives a VM its tokens.
  let metadata: FileServer;
  let gives: 'tokens' | 'nothing';
  beforeAll(async () => {
    metadata = await FileServer.start();
    process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST = metadata.url;
    metadata.behaviour = {
      instead(request, response) {
        const isAsked = /^\/metadata\/identity\/oauth2\/token\/?\?/.test(request.url!);
        if (gives === 'nothing' || !isAsked || request.headers.metadata !== 'true') response.destroy();
        const { expires_in: seconds, ...token } = server.issue();
        const now = Math.floor(Date.now() / 1000);
        const body = { ...token, expires_on: `${now + seconds}`, expires_in: `${seconds}` };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        return true;
      },
    };
  });
  afterAll(async () => {
    delete process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST;
    await metadata.stop();
  });

  it('gives no token to a host that has no identity', async () => {
    const vm = server.vm('web01', 'deallocated', [server.disk('os', sparse())]);
    gives = 'nothing';
    await expect(land(vm, { connection: { secret: '' } })).rejects.toMatchObject({
      code: 'remote.auth',
      message: expect.stringContaining('tried managed identity, az login'),
    });
    expect(server.calls).toEqual([]);
  });

  it('uses the managed identity of a VM of Azure', async () => {
    const vm = server.vm('web01', 'deallocated', [server.disk('os', sparse())]);
    gives = 'tokens';
    await land(vm, { connection: { secret: '' } });
    expect(metadata.requests.length).toBeGreaterThan(0);
    expect(isClean()).toBe(true);
  });
});

describe('doctor', () => {
  const reach = (connection: object = {}) => {
    const { remote } = configSchema.parse({
      remote: { connections: [{ name: 'web', ...server.connection, ...connection }] },
    });
    const [first] = remote.connections as [Connection];
    return reachHosts(first, {
      parallel: 1,
      signal: new AbortController().signal,
      log: pino({ level: 'silent' }),
    });
  };

  it('gets a token and reads the subscription', async () => {
    const host = `127.0.0.1:${server.files.port}`;
    expect(await reach()).toEqual([
      { host, found: '127.0.0.1: gives a token' },
      { host, found: expect.stringContaining('can be read') },
    ]);
    server.secret = 'another';
    expect(await reach()).toMatchObject([
      { found: { code: 'remote.auth', message: expect.stringContaining('AADSTS7000215') } },
      { found: { code: 'remote.auth' } },
    ]);
  });
});

describe('the connection', () => {
  it.each([
    { url: 'http://management.example.com' },
    { login_url: 'http://127.0.0.1' },
    { subscription: 'x' },
    { tenant: undefined },
    { client_id: undefined },
  ])('may not be %j', (wrong) => {
    const connection = { name: 'web', ...server.connection, ...wrong };
    expect(configSchema.safeParse({ remote: { connections: [connection] } }).success).toBe(false);
  });

  it('needs no secret on a VM of Azure', () => {
    const { subscription } = server.connection;
    const connection = { name: 'web', type: 'azure', subscription };
    expect(configSchema.safeParse({ remote: { connections: [connection] } }).success).toBe(true);
  });
});
