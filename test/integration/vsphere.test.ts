import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readJson, Spool, until } from './support/daemon.js';
import { Fetcher } from './support/fetcher.js';
import { NfcPeer, streamOf } from './support/nfc-peer.js';
import { VspherePeer } from './support/vsphere-peer.js';

const MIB = 1024 * 1024;
const USER = 'svc-hyper2kvm@vsphere.local';
const CANARY = 'canary & <7f3a9c51>';
const content = Buffer.concat([randomBytes(9 * MIB), Buffer.alloc(20 * MIB), randomBytes(3 * MIB)]);
const delta = randomBytes(2 * MIB);
const second = randomBytes(4 * MIB);

let peer: VspherePeer;
let nfc: NfcPeer;
let spool: Spool;
let fetcher: Fetcher;
beforeAll(async () => {
  peer = await VspherePeer.start(
    [
      {
        Name: 'web01',
        Power: 'poweredOff',
        Firmware: 'efi',
        Disks: [
          {
            Chain: ['[LocalDS_0] web01/web01-000001.vmdk', '[LocalDS_0] web01/web01.vmdk'],
            Capacity: content.length,
          },
          // As vSphere names a disk that was put onto another datastore.
          { Chain: ['[LocalDS_1] web01/web01.vmdk'], Capacity: second.length },
        ],
      },
      { Name: 'running', Power: 'poweredOn' },
      { Name: 'twice' },
      { Name: 'twice' },
    ],
    { user: USER, password: CANARY },
  );
  await makeDisks();
  nfc = await NfcPeer.start(peer.directory);
  nfc.disks.set(peer.vms[0]!.moref, [
    await streamOf(newest(), peer.directory),
    await streamOf(second, peer.directory),
  ]);
  peer.nfc = nfc;
});
afterAll(async () => {
  nfc.stop();
  await peer.stop();
});

const writeSecret = (text: string) =>
  writeFile(spool.path('credentials', 'remote_vc1'), `${text}\n`, { mode: 0o600 });

/** Writes the files as ESXi has them: text descriptors, flat extents, and a delta with changes of its own. */
async function makeDisks(): Promise<void> {
  const at = (name: string) => join(peer.directory, name);
  await writeFile(at('base.raw'), content);
  const image = (...args: string[]) => execFileSync('qemu-img', args, { cwd: peer.directory });
  const flat = ['convert', '-f', 'raw', '-O', 'vmdk', '-o', 'subformat=monolithicFlat'];
  image(...flat, 'base.raw', 'web01.vmdk');
  image('create', '-q', '-f', 'vmdk', '-b', 'web01.vmdk', '-F', 'vmdk', 'web01-000001.vmdk');
  await writeFile(at('delta'), delta);
  execFileSync('qemu-io', [
    '-f',
    'vmdk',
    '-c',
    `write -s ${at('delta')} ${5 * MIB} ${delta.length}`,
    at('web01-000001.vmdk'),
  ]);
  for (const name of ['web01.vmdk', 'web01-flat.vmdk', 'web01-000001.vmdk'])
    await peer.write(`[LocalDS_0] web01/${name}`, await readFile(at(name)));
  await writeFile(at('base.raw'), second);
  image(...flat, 'base.raw', 'web01.vmdk');
  for (const name of ['web01.vmdk', 'web01-flat.vmdk'])
    await peer.write(`[LocalDS_1] web01/${name}`, await readFile(at(name)));
}

function newest(): Buffer {
  const bytes = Buffer.from(content);
  delta.copy(bytes, 5 * MIB);
  return bytes;
}

async function order(vm: string, more = ''): Promise<void> {
  const text = `kind = "data"\n[source]\nconnection = "vc1"\nvm = ${JSON.stringify(vm)}\n${more}`;
  await writeFile(spool.path('x.order'), text);
  await rename(spool.path('x.order'), spool.path('incoming', 'web01.job.toml'));
}

async function bundle(): Promise<string> {
  await spool.waitForJob(({ state }) => state === 'converted', 240);
  const [directory] = await spool.results('archive');
  return directory!;
}

async function expectBytes(directory: string): Promise<void> {
  expect((await readFile(join(directory, 'web01-disk0.raw'))).equals(newest())).toBe(true);
  expect((await readFile(join(directory, 'web01-disk1.raw'))).equals(second)).toBe(true);
}

/** Every file below a directory that contains the text. */
async function filesWith(directory: string, text: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || path.startsWith(spool.path('credentials'))) continue;
    if ((await readFile(path)).includes(text)) found.push(path);
  }
  return found;
}

describe('a VM of a vCenter', () => {
  beforeEach(async () => {
    peer.behaviour = {};
    spool = await Spool.create(
      `[retry]\nattempts = 10\nbackoff_seconds = 0.2\n[convert]\nformat = "raw"\n[remote]\nchunk_mib = 4\nsocket = "SOCKET"\n` +
        `[[remote.connections]]\nname = "vc1"\ntype = "vsphere"\nurl = "${peer.url}"\nuser = "${USER}"\nsecret = "vc1"\nfingerprint = "${peer.fingerprint}"\n`,
    );
    const config = spool.path('config.toml');
    await writeFile(config, (await readFile(config, 'utf8')).replace('SOCKET', spool.path('fetch.sock')));
    await mkdir(spool.path('credentials'), { mode: 0o700 });
    await writeSecret(CANARY);
    fetcher = new Fetcher(spool, { CREDENTIALS_DIRECTORY: spool.path('credentials') });
    await fetcher.start();
    await spool.start();
  });
  afterEach(async () => {
    await spool.destroy();
    await fetcher.kill();
  });

  it('is fetched by its inventory path with its snapshot and both datastores, and no secret is anywhere', async () => {
    peer.behaviour = { rate: 6 * MIB };
    await order('/F0/DC0/vm/F0/web01');
    const running = await spool.waitForJob(({ bytes_per_second }) => (bytes_per_second ?? 0) > 0, 60);
    expect(running).toMatchObject({ vm: 'web01', stage: 'fetch', eta_seconds: expect.any(Number) });
    for (const { pid } of [fetcher, spool])
      for (const file of ['cmdline', 'environ'])
        expect(await readFile(`/proc/${pid}/${file}`, 'latin1')).not.toContain(CANARY);
    const directory = await bundle();
    await expectBytes(directory);
    const [web01] = peer.vms;
    expect(await readJson(join(directory, 'report.json'))).toMatchObject({
      hardware: { name: 'web01', firmware: 'uefi', memory_mib: 32, nics: [{ model: 'e1000' }] },
      source: {
        type: 'vsphere',
        connection: 'vc1',
        transport: 'datastore',
        moref: web01!.moref,
        instance_uuid: web01!.instanceUuid,
        power: 'off',
      },
    });
    expect(peer.sessions.size).toBe(0);
    for (const text of ['7f3a9c51', ...peer.cookies])
      expect(await filesWith(spool.directory, text)).toEqual([]);
    expect(spool.log + fetcher.log).not.toContain('7f3a9c51');
  });

  it('comes whole although connections are cut, the session expires and the unit is killed', async () => {
    peer.behaviour = { rate: 4 * MIB, cutAfter: 3 * MIB, sessionRequests: 6 };
    const [before, logins] = [peer.sent, peer.cookies.length];
    await order('web01');
    await until('the first bytes', 60, async () => peer.sent > before + 6 * MIB);
    await fetcher.kill();
    await fetcher.start();
    await until('more bytes', 60, async () => peer.sent > before + 16 * MIB);
    peer.behaviour = { cutAfter: 5 * MIB };
    await expectBytes(await bundle());
    const size = content.length + second.length + delta.length;
    expect(peer.sent - before).toBeLessThan(1.4 * size);
    expect(peer.cookies.length - logins).toBeGreaterThan(2);
  });

  it('comes whole as an export although the unit is killed, whose lease nobody else can end', async () => {
    nfc.behaviour = { pause: 25 };
    const sessions = peer.sessions.size;
    await order('web01', 'transport = "nfc"\n');
    await until('the second disk', 60, async () =>
      nfc.requests.some(({ path }) => path.endsWith('disk-1.vmdk')),
    );
    await fetcher.kill();
    expect(nfc.ends).toEqual([]);
    nfc.behaviour = {};
    const asked = () => peer.methods.filter((method) => method === 'ExportVm').length;
    const before = asked();
    await fetcher.start();
    await until('the next attempt', 60, async () => asked() > before);
    nfc.forget();
    const directory = await bundle();
    await expectBytes(directory);
    expect(await readJson(join(directory, 'report.json'))).toMatchObject({ source: { transport: 'nfc' } });
    // The disk that was whole stayed.
    expect(nfc.requests.map(({ path }) => path.slice(-11))).toEqual([
      'disk-0.vmdk',
      'disk-1.vmdk',
      'disk-1.vmdk',
    ]);
    expect(nfc.ends).toEqual(['forgotten', 'complete']);
    for (const text of nfc.tickets) expect(await filesWith(spool.directory, text)).toEqual([]);
    // Only that of the killed process, which the server ends.
    expect(peer.sessions.size).toBe(sessions + 1);
  });

  it('continues by `retry` after its password was corrected', async () => {
    await writeSecret('wrong');
    await order('web01');
    const { error, job } = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
    expect(error).toMatchObject({ code: 'remote.auth', message: expect.stringContaining('InvalidLogin') });
    await writeSecret(CANARY);
    await spool.post(`/v1/jobs/${job}/retry`);
    await expectBytes(await bundle());
  });
});
