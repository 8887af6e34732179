import { mkdtempSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.js';
import { landVm } from '../../src/sources/remote/land-vm.js';
import type { RemoteSpec } from '../../src/sources/remote/spec.js';
import { type PeerVm, VspherePeer } from './support/vsphere-peer.js';

const PASSWORD = 'p & <1>';
const flat = (sectors: number, file: string) =>
  `# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="vmfs"\nRW ${sectors} VMFS "${file}"\n`;
const disk = Buffer.alloc(3 * 1024 * 1024, 7);

const VMS: PeerVm[] = [
  { Name: 'web01', Power: 'poweredOff', Disks: [{ Chain: ['[LocalDS_0] web01/web01.vmdk'] }] },
  { Name: 'running', Power: 'poweredOn', Disks: [{ Chain: ['[LocalDS_0] web01/web01.vmdk'] }] },
  { Name: 'suspended', Power: 'suspended' },
  { Name: 'cut off', Power: 'poweredOff', Connection: 'disconnected' },
  { Name: 'raw', Power: 'poweredOff', Disks: [{ Chain: ['[LocalDS_0] raw/raw.vmdk'], Rdm: 'physicalMode' }] },
  { Name: 'locked', Power: 'poweredOff', Disks: [{ Chain: ['[LocalDS_0] a/a.vmdk'], Encrypted: true }] },
  {
    Name: 'shared',
    Power: 'poweredOff',
    Disks: [{ Chain: ['[LocalDS_0] a/a.vmdk'], Sharing: 'sharingMultiWriter' }],
  },
  { Name: 'escape', Power: 'poweredOff', Disks: [{ Chain: ['[LocalDS_0] ../../etc/passwd'] }] },
  { Name: 'gone', Power: 'poweredOff', Disks: [{ Chain: ['[LocalDS_0] gone/gone.vmdk'] }] },
  { Name: 'short', Power: 'poweredOff', Disks: [{ Chain: ['[LocalDS_0] short/short.vmdk'] }] },
  { Name: 'twice', Power: 'poweredOff' },
  { Name: 'twice', Power: 'poweredOff' },
];

let peer: VspherePeer;
let directory: string;
const before = process.env.CREDENTIALS_DIRECTORY;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-vsphere-'));
  process.env.CREDENTIALS_DIRECTORY = directory;
  peer = await VspherePeer.start(VMS, { user: 'u', password: PASSWORD });
  await peer.write('[LocalDS_0] web01/web01.vmdk', flat(disk.length / 512, 'web01-flat.vmdk'));
  await peer.write('[LocalDS_0] web01/web01-flat.vmdk', disk);
  await peer.write('[LocalDS_0] short/short.vmdk', flat(9_999, 'short-flat.vmdk'));
  await peer.write('[LocalDS_0] short/short-flat.vmdk', disk.subarray(0, 512));
});
afterAll(async () => {
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
  await peer.stop();
  await rm(directory, { recursive: true });
});
beforeEach(async () => {
  peer.behaviour = {};
  await writeFile(join(directory, 'remote_vc1'), `${PASSWORD}\n`);
});

interface Settings {
  connection?: object;
  /** Continues what an earlier attempt left there. */
  workDirectory?: string;
  chunkMib?: number;
  power?: string;
  signal?: AbortSignal;
}

function configOf({ connection = { fingerprint: peer.fingerprint }, chunkMib = 8 }: Settings) {
  return configSchema.parse({
    retry: { attempts: 2 },
    remote: {
      ...{ chunk_mib: chunkMib, parallel: 1 },
      connections: [{ name: 'vc1', type: 'vsphere', url: peer.url, user: 'u', secret: 'vc1', ...connection }],
    },
  });
}

let lands = 0;
async function land(vm: string, settings: Settings = {}) {
  const spec: RemoteSpec = {
    connection: 'vc1',
    vm: [vm],
    transport: 'auto',
    power: settings.power ?? 'off',
    sha256: {},
  };
  lands += 1;
  const workDirectory = settings.workDirectory ?? join(directory, `work-${lands}`);
  await mkdir(workDirectory, { recursive: true });
  const facts = await landVm(spec, {
    config: configOf(settings),
    workDirectory,
    signal: settings.signal ?? new AbortController().signal,
    log: pino({ level: 'silent' }),
    progress() {},
    reserve: async () => {},
    account() {},
    advanced() {},
  });
  return { facts, read: (name: string) => readFileSync(join(workDirectory, 'remote/vm', name)) };
}

describe('the vSphere transport', () => {
  it.each([
    ['running', 'remote.powered-on', /is running/],
    ['suspended', 'remote.powered-on', /is suspended/],
    ['cut off', 'remote.datastore-unreadable', /disconnected/],
    ['raw', 'remote.unsupported-disk', /raw device mapping/],
    ['locked', 'remote.unsupported-disk', /encrypted/],
    ['shared', 'remote.unsupported-disk', /multi-writer/],
    ['escape', 'remote.unsupported-disk', /not the path of a file/],
    ['gone', 'remote.not-found', /gone\.vmdk/],
    ['short', 'remote.truncated', /has 512 bytes/],
    ['nobody', 'remote.not-found', /there is no VM “nobody”/],
    ['/F0/DC0/vm/F0/nobody', 'remote.not-found', /there is no VM at/],
    ['/F0/DC0/vm', 'remote.not-found', /is a Folder/],
    ['00000000-0000-0000-0000-000000000000', 'remote.not-found', /there is no VM/],
  ])('refuses %j: %s, and logs out', async (vm, code, message) => {
    await expect(land(vm)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(peer.sessions.size).toBe(0);
  });

  it('refuses a name of two VMs, and says which they are', async () => {
    const [first, second] = peer.vms.filter(({ name }) => name === 'twice');
    await expect(land('twice')).rejects.toMatchObject({
      code: 'remote.ambiguous',
      advice: expect.stringMatching(
        new RegExp(`/F0/DC0/vm/F0/twice \\(${first!.moref}\\), /F0/DC0/vm/F0/twice \\(${second!.moref}\\)`),
      ),
    });
  });

  it('shows where a VM is whose path is wrong', async () => {
    await expect(land('/F0/DC0/vm/web01')).rejects.toMatchObject({
      code: 'remote.not-found',
      advice: expect.stringContaining(`/F0/DC0/vm/F0/web01 (${peer.vms[0]!.moref})`),
    });
  });

  it('finds a VM by its path, name, id and instance UUID, and lands it through either kind of check', async () => {
    const [web01] = peer.vms;
    const byCa = { connection: { ca_file: peer.certificate } };
    for (const [vm, settings] of [
      ['/F0/DC0/vm/F0/web01', {}],
      [web01!.moref, byCa],
    ] as const) {
      const { facts, read } = await land(vm, settings);
      expect(facts).toMatchObject({ moref: web01!.moref, power: 'off', transport: 'datastore' });
      expect(read('web01-flat.vmdk').equals(disk)).toBe(true);
    }
    for (const vm of ['web01', web01!.instanceUuid]) {
      peer.behaviour = { fileStatus: 403 };
      await expect(land(vm)).rejects.toMatchObject({ code: 'remote.permission' });
      expect(peer.fileRequests.at(-1)!.url).toContain('/folder/web01/web01.vmdk');
    }
    expect(peer.sessions.size).toBe(0);
  });

  it('finds files of a vCenter that decodes the names of datacenter and datastore twice', async () => {
    peer.behaviour = { encodedTwice: true };
    const { read } = await land('web01');
    expect(read('web01-flat.vmdk').equals(disk)).toBe(true);
    expect(peer.fileRequests.at(-1)!.url).toContain('dcPath=F0%252FDC0');
  });

  it.each([
    ['another fingerprint', { fingerprint: `SHA256:${'ab'.repeat(32)}` }],
    ['no CA that knows it', {}],
  ])('refuses a certificate with %s before anything is sent', async (_what, connection) => {
    const before = peer.methods.length;
    const seen = peer.fingerprint
      .replace(/^SHA256:/, '')
      .replaceAll(':', '')
      .toLowerCase();
    await expect(land('web01', { connection })).rejects.toMatchObject({
      code: 'remote.tls',
      message: expect.stringContaining(seen),
    });
    expect(peer.methods).toHaveLength(before);
  });

  it.each([
    ['RetrievePropertiesEx', 'NoPermission', '<privilegeId>System.Read</privilegeId>', 'remote.permission'],
    ['RetrieveServiceContent', 'RestrictedVersion', '', 'remote.license'],
    ['Login', 'InvalidLogin', '', 'remote.auth'],
    ['CreateContainerView', 'HostNotConnected', '', 'remote.unreachable'],
    ['CreateContainerView', 'NotAuthenticated', '', 'remote.auth'],
  ])('%s answered by %s%s is %s', async (method, type, detail, code) => {
    peer.behaviour = { fault: (asked) => (asked === method ? { type, detail } : undefined) };
    await expect(land('web01')).rejects.toMatchObject({ code });
    expect(peer.sessions.size).toBe(0);
  });

  it.each([
    [500, 'remote.locked', true],
    [403, 'remote.permission', false],
    [404, 'remote.not-found', false],
  ])('a file answered by %i is %s', async (fileStatus, code, retryable) => {
    peer.behaviour = { fileStatus };
    await expect(land('web01')).rejects.toMatchObject({ code, retryable });
    expect(peer.sessions.size).toBe(0);
  });

  it('logs in again for files when the session has expired, and asks no more than once', async () => {
    const before = peer.cookies.length;
    peer.behaviour = { sessionRequests: 2 };
    await land('web01');
    expect(peer.cookies.length - before).toBeGreaterThan(1);
    peer.behaviour = { sessionRequests: 0 };
    await expect(land('web01')).rejects.toMatchObject({ code: 'remote.auth' });
  });

  it('notices that the VM was started while its files were read', async () => {
    const off: PeerVm = { Name: 'web01', Power: 'poweredOff' };
    peer.behaviour = {
      onFile: (url) => (url.includes('-flat') ? peer.change({ ...off, Power: 'poweredOn' }) : undefined),
    };
    await expect(land('web01')).rejects.toMatchObject({
      code: 'remote.source-changed',
      message: 'web01 was started while it was fetched',
    });
    await peer.change(off);
  });

  it('continues by size and time of change in the datastore where the server has no other validator', async () => {
    const workDirectory = join(directory, 'no-validators');
    const flatRequests = () => peer.fileRequests.filter(({ url }) => url.includes('-flat'));
    let left = 2;
    const breakOff = (url: string) => {
      if (url.includes('-flat')) left -= 1;
      if (left < 0) peer.behaviour = { noValidators: true, fileStatus: 500 };
    };
    peer.behaviour = { noValidators: true, onFile: breakOff };
    const settings = { workDirectory, chunkMib: 1 };
    await expect(land('web01', settings)).rejects.toMatchObject({ code: 'remote.locked' });

    peer.behaviour = { noValidators: true };
    const before = flatRequests().length;
    await land('web01', settings);
    // The one that tells the size, and the third that was missing.
    expect(flatRequests().length - before).toBe(2);

    // It is written to, and nothing else shows that.
    const other = Buffer.alloc(disk.length, 8);
    const path = '[LocalDS_0] web01/web01-flat.vmdk';
    peer.behaviour = {
      noValidators: true,
      onFile: (url) => (url.includes('-flat') ? peer.write(path, other) : undefined),
    };
    await expect(land('web01', { workDirectory: join(directory, 'written') })).rejects.toMatchObject({
      code: 'remote.source-changed',
      message: `${path} was changed while it was fetched`,
    });
    peer.behaviour = {};
    await peer.write(path, disk);
  });

  it('asks the guest of a running VM to shut down where the job says so', async () => {
    const { facts } = await land('running', { power: 'shutdown' });
    expect(facts.power).toBe('shutdown');
    expect(peer.methods).toContain('ShutdownGuest');
  });

  it('ends at once when it is told to, and logs out even then', async () => {
    const controller = new AbortController();
    peer.behaviour = { onFile: () => controller.abort(new Error('enough')) };
    await expect(land('web01', { signal: controller.signal })).rejects.toThrow('enough');
    expect(peer.sessions.size).toBe(0);
  });
});

describe('an ESXi host', () => {
  it('gives a VM of its one datacenter', async () => {
    const host = await VspherePeer.start([VMS[0]!], { user: 'u', password: PASSWORD, esx: true });
    try {
      const store = Object.keys(host.datastores)[0]!;
      const path = `[${store}] web01/web01.vmdk`;
      await host.change({ ...VMS[0]!, Disks: [{ Chain: [path] }] });
      await host.write(path, flat(disk.length / 512, 'web01-flat.vmdk'));
      await host.write(`[${store}] web01/web01-flat.vmdk`, disk);
      const connection = { url: host.url, fingerprint: host.fingerprint };
      const { read } = await land('/ha-datacenter/vm/web01', { connection });
      expect(read('web01-flat.vmdk').equals(disk)).toBe(true);
      expect(host.fileRequests.at(-1)!.url).toContain('dcPath=ha-datacenter');
    } finally {
      await host.stop();
    }
  });
});
