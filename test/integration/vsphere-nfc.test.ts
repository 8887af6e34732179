import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.js';
import { landVm } from '../../src/sources/remote/land-vm.js';
import { NOTHING } from '../unit/sources/remote/undo-book.js';
import { NfcPeer, streamOf } from './support/nfc-peer.js';
import { VspherePeer } from './support/vsphere-peer.js';

const MIB = 1024 * 1024;
const PASSWORD = 'p & <1>';
const contents = [
  Buffer.concat([randomBytes(3 * MIB), Buffer.alloc(9 * MIB), randomBytes(2 * MIB)]),
  randomBytes(2 * MIB),
];
const CAPACITIES = contents.map(({ length }) => length);
const VM = {
  Name: 'web01',
  Power: 'poweredOff' as const,
  Disks: [
    { Chain: ['[LocalDS_0] web01/web01.vmdk'], Capacity: CAPACITIES[0]! },
    { Chain: ['[LocalDS_1] web01/web01.vmdk'], Capacity: CAPACITIES[1]! },
  ],
};

let directory: string;
let peer: VspherePeer;
let nfc: NfcPeer;
let moref: string;
let streams: Buffer[];
const before = process.env.CREDENTIALS_DIRECTORY;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'h2k-nfc-'));
  process.env.CREDENTIALS_DIRECTORY = directory;
  writeFileSync(join(directory, 'remote_vc1'), `${PASSWORD}\n`);
  peer = await VspherePeer.start(
    [VM, { ...VM, Name: 'independent', Disks: [{ ...VM.Disks[0]!, Mode: 'independent_persistent' }] }],
    {
      user: 'u',
      password: PASSWORD,
    },
  );
  nfc = await NfcPeer.start(directory);
  peer.nfc = nfc;
  moref = peer.vms[0]!.moref;
  streams = await Promise.all(contents.map((content) => streamOf(content, directory)));
});
afterAll(async () => {
  if (before === undefined) delete process.env.CREDENTIALS_DIRECTORY;
  else process.env.CREDENTIALS_DIRECTORY = before;
  nfc.stop();
  await peer.stop();
  await rm(directory, { recursive: true });
});
beforeEach(() => {
  nfc.forget();
  for (const list of [nfc.ends, nfc.percents, nfc.requests, nfc.tickets, peer.methods]) list.length = 0;
  nfc.behaviour = {};
  nfc.disks.set(moref, streams);
  peer.behaviour = { datastoreType: 'vsan' };
});

/** Returns what the guest saw. */
function contentOf(vmdk: string): Buffer {
  const raw = join(directory, 'back.raw');
  execFileSync('qemu-img', ['convert', '-f', 'vmdk', '-O', 'raw', vmdk, raw]);
  return readFileSync(raw);
}

interface Settings {
  vm?: string;
  transport?: string;
  attempts?: number;
  workDirectory?: string;
  signal?: AbortSignal;
  log?: Logger;
}

let lands = 0;
async function land(settings: Settings = {}) {
  lands += 1;
  const { workDirectory = join(directory, `work-${lands}`), signal = new AbortController().signal } =
    settings;
  mkdirSync(workDirectory, { recursive: true });
  const { url, fingerprint } = peer;
  const config = configSchema.parse({
    retry: { attempts: settings.attempts ?? 2 },
    remote: { connections: [{ name: 'vc1', type: 'vsphere', url, user: 'u', secret: 'vc1', fingerprint }] },
  });
  const reserved: number[] = [];
  const transport = settings.transport ?? 'auto';
  const facts = await landVm(
    { connection: 'vc1', vm: [settings.vm ?? 'web01'], transport, power: 'off', sha256: {} },
    {
      ...{ config, workDirectory, signal, log: settings.log ?? pino({ level: 'silent' }) },
      ...{ progress() {}, account() {}, advanced() {}, undoing: NOTHING },
      reserve: async (bytes) => void reserved.push(bytes),
    },
  );
  return { facts, reserved, at: (name: string) => join(workDirectory, 'remote/vm', name) };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function expectWhole(at: (name: string) => string): void {
  for (const [index, content] of contents.entries())
    expect(contentOf(at(`scsi0-${index}.vmdk`)).equals(content)).toBe(true);
}

describe('the export of a VM', () => {
  it('is how disks come whose datastore has no files, each in one stream from the host that the server names', async () => {
    nfc.behaviour = { timeoutSeconds: 1, reportsFirst: 3 };
    const lines: string[] = [];
    const { facts, reserved, at } = await land({
      log: pino({ level: 'debug' }, { write: (line) => void lines.push(line) }),
    });
    expect(facts).toMatchObject({ transport: 'nfc', power: 'off', moref, retries: 0 });
    expectWhole(at);
    expect(readFileSync(at('DC0_H0_VM0.vmx'), 'utf8')).toContain('scsi0:1.fileName = "scsi0-1.vmdk"');
    expect(facts.files.map(({ name, size }) => [name, size]).slice(1)).toEqual(
      nfc.disks.get(moref)!.map(({ length }, index) => [`scsi0-${index}.vmdk`, length]),
    );
    expect(reserved[0]).toBeGreaterThanOrEqual(facts.bytes);
    // Both in one export, that was renewed meanwhile and ended as it should.
    expect(nfc.requests.map(({ path, range }) => [path.slice(-10), range])).toEqual([
      ['isk-0.vmdk', undefined],
      ['isk-1.vmdk', undefined],
    ]);
    expect(nfc.percents.length).toBeGreaterThanOrEqual(3);
    expect(Math.max(...nfc.percents)).toBeLessThan(100);
    expect(nfc.ends).toEqual(['complete']);
    expect(peer.sessions.size).toBe(0);
    // The host gets no session, and nobody learns the addresses, which are as good as a secret.
    expect(nfc.requests.map(({ cookie }) => cookie)).toEqual([undefined, undefined]);
    const log = lines.join('');
    expect(log).toContain('VM found');
    expect(log + JSON.stringify(facts)).not.toContain(nfc.tickets[0]!);
  });

  it('comes from the server itself where the address has a star, with its session', async () => {
    nfc.behaviour = { star: true };
    peer.behaviour = {};
    const { at } = await land({ transport: 'nfc' });
    expectWhole(at);
    expect(nfc.requests.every(({ cookie }) => cookie === peer.cookies.at(-1))).toBe(true);
  });

  it('is not read from a host with another certificate than the server names', async () => {
    nfc.behaviour = { thumbprint: Array.from({ length: 20 }, () => 'AB').join(':') };
    await expect(land()).rejects.toMatchObject({
      code: 'remote.tls',
      message: expect.stringContaining(`SHA1:${'ab'.repeat(20)}`),
    });
    expect(nfc.requests).toEqual([]);
    expect(nfc.ends).toEqual(['abort']);
  });

  it('keeps a whole disk and begins the broken one again, in the attempt and in the next one', async () => {
    const [first, second] = nfc.disks.get(moref)!;
    const workDirectory = join(directory, 'broken');
    nfc.behaviour = { cutAfter: first!.length };
    nfc.disks.set(moref, [first!, Buffer.concat([second!, Buffer.alloc(first!.length)])]);
    await expect(land({ workDirectory })).rejects.toMatchObject({
      code: 'remote.interrupted',
      retryable: true,
    });
    expect(nfc.requests.map(({ path }) => path.slice(-11))).toEqual([
      'disk-0.vmdk',
      'disk-1.vmdk',
      'disk-1.vmdk',
    ]);
    // Each failure ends its export: the next one has its own.
    expect(nfc.ends).toEqual(['abort', 'abort']);
    expect(readdirSync(join(workDirectory, 'remote/vm')).sort()).toEqual([
      'DC0_H0_VM0.vmx',
      'scsi0-0.vmdk',
      'scsi0-1.vmdk.part',
    ]);

    nfc.behaviour = {};
    nfc.disks.set(moref, [first!, second!]);
    const { at } = await land({ workDirectory });
    expectWhole(at);
    expect(nfc.requests.slice(3).map(({ path }) => path.slice(-11))).toEqual(['disk-1.vmdk']);
    expect(nfc.ends).toEqual(['abort', 'abort', 'complete']);

    // And once all is there, nothing is exported for it.
    peer.methods.length = 0;
    await land({ workDirectory });
    expect(peer.methods).not.toContain('ExportVm');
  });

  it.each([
    ['ends before the disk does', { endAfter: MIB }, /the end of the disk is not among them/],
    ['ends before it has begun', { endAfter: 0 }, /sent 0 bytes/],
    ['is shorter than what the host says that it sent', { manifestAdds: 5 }, /bytes of Hard disk 1 came/],
  ])('is truncated if a stream %s', async (_what, behaviour, message) => {
    nfc.behaviour = behaviour;
    await expect(land()).rejects.toMatchObject({
      code: 'remote.truncated',
      retryable: false,
      message: expect.stringMatching(message),
    });
    expect(nfc.ends).toEqual(['abort', 'abort']);
  });

  it('is refused if the host sends the disk of another address', async () => {
    nfc.behaviour = { keyOf: (disk) => `/${moref}/ParaVirtualSCSIController0:${1 - disk}` };
    await expect(land()).rejects.toMatchObject({ code: 'remote.truncated' });
    nfc.behaviour = { keyOf: (disk) => `/${moref}/ParaVirtualSCSIController0:${disk + 1}` };
    await expect(land()).rejects.toMatchObject({ code: 'remote.unsupported-disk' });
  });

  it('goes on in a new export when its lease has ended meanwhile', async () => {
    nfc.behaviour = { timeoutSeconds: 1, reportsFirst: Number.POSITIVE_INFINITY };
    const landing = land({ attempts: 3 });
    await Promise.race([landing, until(() => nfc.percents.length >= 2)]);
    nfc.behaviour = {};
    nfc.forget();
    const { at, facts } = await landing;
    expectWhole(at);
    expect(facts.retries).toBe(1);
    expect(nfc.ends).toEqual(['forgotten', 'complete']);
  });

  it('waits for the lease that a killed process has left, which nobody else can end', async () => {
    nfc.answer('ExportVm', `<_this type="VirtualMachine">${moref}</_this>`);
    const landing = land();
    await Promise.race([landing, until(() => peer.methods.includes('ExportVm'))]);
    nfc.forget();
    const { at } = await landing;
    expectWhole(at);
    expect(nfc.ends).toEqual(['forgotten', 'complete']);
  });

  it('is ended at once by an abort, and the session with it', async () => {
    nfc.behaviour = { reportsFirst: Number.POSITIVE_INFINITY };
    const abort = new AbortController();
    const landing = land({ signal: abort.signal });
    const failed = expect(landing).rejects.toThrow('enough');
    await Promise.race([failed, until(() => nfc.requests.length > 0)]);
    abort.abort(new Error('enough'));
    await failed;
    expect(nfc.ends).toEqual(['abort']);
    expect(peer.sessions.size).toBe(0);
  });

  it.each([
    ['InvalidPowerState', 'remote.powered-on', false],
    ['NoPermission', 'remote.permission', false],
    ['RestrictedVersion', 'remote.license', false],
    ['InsufficientResourcesFault', 'remote.busy', true],
  ])('that the server refuses with %s is %s', async (type, code, retryable) => {
    peer.behaviour = {
      datastoreType: 'vsan',
      fault: (method) => (method === 'ExportVm' ? { type } : undefined),
    };
    await expect(land({ attempts: 1 })).rejects.toMatchObject({ code, retryable });
    expect(peer.sessions.size).toBe(0);
  });

  it('leaves independent disks out, so that they are refused, unless their files can be read', async () => {
    await expect(land({ vm: 'independent' })).rejects.toMatchObject({
      code: 'remote.unsupported-disk',
      message: expect.stringContaining('is independent'),
    });
    await expect(land({ vm: 'independent', transport: 'datastore' })).rejects.toMatchObject({
      code: 'remote.datastore-unreadable',
    });
    peer.behaviour = {};
    // Their files are asked for.
    await expect(land({ vm: 'independent' })).rejects.toMatchObject({ code: 'remote.not-found' });
    expect(peer.methods).not.toContain('ExportVm');
  });
});
