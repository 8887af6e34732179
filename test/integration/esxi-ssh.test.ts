import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { landVm } from '../../src/sources/remote/land-vm.js';
import { landingEnvironment, specOf } from '../unit/sources/remote/landing-environment.js';
import { readJson, Spool } from './support/daemon.js';
import { Fetcher } from './support/fetcher.js';
import { SshPeer } from './support/ssh-peer.js';

const MIB = 1024 * 1024;
/** A name that a shell would take apart. */
const HOSTILE = "web'01 $(touch pwned) `touch pwned`; touch pwned &";

let peer: SshPeer;
beforeAll(async () => {
  peer = await SshPeer.start();
});
afterAll(() => peer?.stop());

/** A VM with one disk, whose files have that name. Returns the disk's bytes. */
function makeVm(directory: string, name: string, mebibytes: number): Buffer {
  const place = peer.place(directory);
  const bytes = randomBytes(mebibytes * MIB);
  bytes.fill(0, MIB, 2 * MIB);
  writeFileSync(join(place, `${name}-flat.vmdk`), bytes);
  const sectors = (mebibytes * MIB) / 512;
  const descriptor = (cid: string, parent: string, rest: string) =>
    `# Disk DescriptorFile\nversion=1\nCID=${cid}\nparentCID=${parent}\n${rest}ddb.adapterType = "lsilogic"\n`;
  writeFileSync(
    join(place, `${name}.vmdk`),
    descriptor('0a0b0c0d', 'ffffffff', `createType="vmfs"\nRW ${sectors} VMFS "${name}-flat.vmdk"\n`),
  );
  writeFileSync(
    join(place, `${name}.vmx`),
    `.encoding = "UTF-8"\ndisplayName = "shop"\nmemSize = "512"\nscsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "${name}.vmdk"\n`,
  );
  return bytes;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // It has ended.
    return '';
  }
}

function filesWith(directory: string, text: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => textOf(path).includes(text));
}

describe('a VM of an ESXi host, over SSH', () => {
  it('is fetched by the unit, over cuts, whatever its files are called; and the key is nowhere', async () => {
    const name = HOSTILE;
    const disk = makeVm(name, name, 24);
    peer.register([{ name: 'shop', file: `${name}/${name}.vmx` }]);
    const spool = await Spool.create(
      `[retry]\nattempts = 10\nbackoff_seconds = 0.1\n[convert]\nformat = "raw"\n[remote]\nchunk_mib = 2\nparallel = 1\nsocket = "SOCKET"\n` +
        `[[remote.connections]]\nname = "esx"\n${Object.entries(peer.connection())
          .map(([key, value]) => `${key} = "${value}"\n`)
          .join('')}`,
    );
    const config = spool.path('config.toml');
    await writeFile(config, (await readFile(config, 'utf8')).replace('SOCKET', spool.path('fetch.sock')));
    const credentials = join(peer.directory, 'credentials');
    mkdirSync(credentials, { mode: 0o700 });
    writeFileSync(join(credentials, 'remote_esxi'), peer.key, { mode: 0o600 });
    const fetcher = new Fetcher(spool, { CREDENTIALS_DIRECTORY: credentials });
    const canary = peer.key.split('\n')[2]!;
    try {
      peer.cutAfter = 6 * MIB;
      const before = peer.sent;
      await fetcher.start();
      await spool.start();
      await writeFile(spool.path('order'), 'kind = "data"\n[source]\nconnection = "esx"\nvm = "shop"\n');
      await rename(spool.path('order'), spool.path('incoming', 'shop.job.toml'));
      const seen: string[] = [];
      await spool.waitForJob(({ state }) => {
        for (const pid of readdirSync('/proc').filter((one) => /^\d+$/.test(one)))
          for (const file of ['cmdline', 'environ'])
            if (textOf(`/proc/${pid}/${file}`).includes(canary)) seen.push(`${pid} ${file}`);
        return state === 'converted';
      }, 120);
      expect(seen).toEqual([]);
      const [directory] = await spool.results('archive');
      const converted = await readFile(join(directory!, 'shop-disk0.raw'));
      expect(converted.equals(disk)).toBe(true);
      const { source } = (await readJson(join(directory!, 'report.json'))) as { source: { retries: number } };
      expect(source).toMatchObject({
        type: 'esxi-ssh',
        transport: 'esxi-ssh',
        moref: '1',
        files: expect.arrayContaining([
          {
            name: `${name}-flat.vmdk`,
            size: disk.length,
            sha256: createHash('sha256').update(disk).digest('hex'),
          },
        ]),
      });
      expect(source.retries).toBeGreaterThan(0);
      // Of each cut: the block that was half there, and what ssh had on its way (its window is 2 MiB).
      expect(peer.cuts).toBeGreaterThan(2);
      expect(peer.sent - before).toBeLessThan(1.02 * disk.length + peer.cuts * 3 * MIB);
      const made = readdirSync(join(peer.directory, 'root'), { recursive: true }).map(String);
      expect(made.filter((path) => path.endsWith('pwned'))).toEqual([]);
      expect(filesWith(spool.directory, canary)).toEqual([]);
      expect(spool.log + fetcher.log).not.toContain(canary);
    } finally {
      peer.cutAfter = Number.POSITIVE_INFINITY;
      await spool.destroy();
      await fetcher.kill();
    }
  });
});

describe('refused over SSH', () => {
  let work: string;
  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), 'h2k-ssh-land-'));
    writeFileSync(join(peer.directory, 'remote_esxi'), peer.key, { mode: 0o600 });
    process.env.CREDENTIALS_DIRECTORY = peer.directory;
  });
  afterEach(() => {
    rmSync(work, { recursive: true });
    delete process.env.CREDENTIALS_DIRECTORY;
  });
  const land = (vm: string, connection: object = peer.connection()) =>
    landVm(specOf(vm), landingEnvironment('', work, { connection, retry: { attempts: 1 } }).environment);

  it.each([
    ['unknown', null],
    ['another one', 'other'],
  ] as const)('is a host whose key is %s, before it is told anything', async (_what, knows) => {
    await expect(land('shop', peer.connection(knows))).rejects.toMatchObject({
      code: 'remote.host-key',
      retryable: false,
    });
  });

  it('is a key that the host does not accept, and a credential that is no key', async () => {
    writeFileSync(join(peer.directory, 'remote_esxi'), readFileSync(join(peer.directory, 'other')));
    await expect(land('shop')).rejects.toMatchObject({ code: 'remote.auth', retryable: false });
    writeFileSync(join(peer.directory, 'remote_esxi'), 'a password\n');
    await expect(land('shop')).rejects.toMatchObject({ code: 'remote.secret-unreadable' });
  });

  it('is a host that is not there', async () => {
    const connection = { ...peer.connection(), url: 'ssh://127.0.0.1:1' };
    await expect(land('shop', connection)).rejects.toMatchObject({
      code: 'remote.unreachable',
      retryable: true,
    });
  });

  it('is a VM that runs, that is suspended, or that a host has open', async () => {
    makeVm('on', 'on', 2);
    const file = 'on/on.vmx';
    for (const power of ['Powered on', 'Suspended']) {
      peer.register([{ name: 'on', file, power }]);
      for (const vm of ['on', '/vmfs/volumes/datastore1/on/on.vmx', '[datastore1] on/on.vmx'])
        await expect(land(vm)).rejects.toMatchObject({ code: 'remote.powered-on', retryable: false });
    }
    peer.register([]);
    writeFileSync(join(peer.place('on'), 'on.vmx.lck'), '');
    await expect(land('[datastore1] on/on.vmx')).rejects.toMatchObject({
      code: 'remote.locked',
      retryable: true,
    });
  });

  it('is a name of no VM, of two, and a path outside of the datastores', async () => {
    peer.register([
      { name: 'twin', file: 'a/twin.vmx' },
      { name: 'twin', file: 'b/twin.vmx' },
    ]);
    await expect(land('nobody')).rejects.toMatchObject({ code: 'remote.not-found' });
    await expect(land('twin')).rejects.toMatchObject({
      code: 'remote.ambiguous',
      message: expect.stringContaining('/vmfs/volumes/datastore1/b/twin.vmx'),
    });
    await expect(land('/vmfs/volumes/datastore1/none/none.vmx')).rejects.toMatchObject({
      code: 'remote.not-found',
    });
    for (const vm of ['/etc/passwd.vmx', '/vmfs/volumes/../../etc/passwd.vmx'])
      await expect(land(vm)).rejects.toMatchObject({ code: 'remote.not-allowed' });
  });

  it('is a description that points at files of the host itself, also by a link', async () => {
    makeVm('thief', 'thief', 2);
    const place = peer.place('thief');
    const vmx = join(place, 'thief.vmx');
    const text = readFileSync(vmx, 'utf8');
    writeFileSync(vmx, text.replace('"thief.vmdk"', '"/etc/shadow"'));
    await expect(land('[datastore1] thief/thief.vmx')).rejects.toMatchObject({ code: 'remote.not-allowed' });
    symlinkSync('/etc/shadow', join(place, 'shadow.vmdk'));
    writeFileSync(vmx, text.replace('"thief.vmdk"', '"shadow.vmdk"'));
    await expect(land('[datastore1] thief/thief.vmx')).rejects.toMatchObject({ code: 'remote.not-allowed' });
    expect(existsSync(join(work, 'remote'))).toBe(false);
  });

  it('is a VM that was changed while it was fetched', async () => {
    makeVm('busy', 'busy', 8);
    const changed = () => {
      const flat = join(peer.place('busy'), 'busy-flat.vmdk');
      utimesSync(flat, 1, 1);
    };
    const { environment } = landingEnvironment('', work, { connection: peer.connection() });
    const landing = landVm(specOf('[datastore1] busy/busy.vmx'), { ...environment, advanced: changed });
    await expect(landing).rejects.toMatchObject({ code: 'remote.source-changed' });
  });
});
