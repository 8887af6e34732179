import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileServer } from '../unit/sources/remote/file-server.js';
import { S3Server } from '../unit/sources/remote/s3-server.js';
import { readJson, Spool, until } from './support/daemon.js';
import { Fetcher } from './support/fetcher.js';

const MIB = 1024 * 1024;
const CANARY = 'canary-7f3a9c51';
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

let server: FileServer;
let bucket: S3Server;
let spool: Spool;
let fetcher: Fetcher;
beforeEach(async () => {
  server = await FileServer.start();
  bucket = await S3Server.start();
  bucket.secretKey = CANARY;
  spool = await Spool.create(
    `[retry]\nattempts = 10\nbackoff_seconds = 0.2\n[convert]\nformat = "raw"\n[remote]\nchunk_mib = 4\nsocket = "SOCKET"\n` +
      `[[remote.connections]]\nname = "web"\ntype = "http"\nurl = "${server.url}/vms"\nsecret = "web"\n` +
      `[[remote.connections]]\nname = "s3"\n${tomlLines(bucket.connection)}`,
  );
  const config = spool.path('config.toml');
  await writeFile(config, (await readFile(config, 'utf8')).replace('SOCKET', spool.path('fetch.sock')));
  const credentials = spool.path('credentials');
  await mkdir(credentials, { mode: 0o700 });
  await writeFile(join(credentials, 'remote_web'), `Authorization: Bearer ${CANARY}\n`, { mode: 0o600 });
  await writeFile(join(credentials, 'remote_s3'), `${CANARY}\n`, { mode: 0o600 });
  fetcher = new Fetcher(spool, { CREDENTIALS_DIRECTORY: credentials });
});
afterEach(async () => {
  await spool.destroy();
  await fetcher.kill();
  await server.stop();
  await bucket.files.stop();
});

function tomlLines(table: object): string {
  return Object.entries(table)
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
    .join('');
}

async function order(name: string, source: string): Promise<void> {
  await writeFile(spool.path(`${name}.order`), `kind = "data"\n[source]\n${source}`);
  await rename(spool.path(`${name}.order`), spool.path('incoming', `${name}.job.toml`));
}

async function bundle(): Promise<string> {
  await spool.waitForJob(({ state }) => state === 'converted', 240);
  const [directory] = await spool.results('archive');
  return directory!;
}

/** Every file below a directory that contains the text. */
async function filesWith(directory: string, text: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries.filter((one) => one.isFile())) {
    const path = join(entry.parentPath, entry.name);
    if (!path.startsWith(spool.path('credentials')) && (await readFile(path)).includes(text))
      found.push(path);
  }
  return found;
}

describe('a job.toml whose VM is elsewhere', () => {
  it('is fetched by the unit and converted by the daemon, and no secret is anywhere', async () => {
    const disk = Buffer.concat([randomBytes(9 * MIB), Buffer.alloc(20 * MIB), randomBytes(3 * MIB)]);
    server.serve('/vms/web01.raw', disk);
    server.behaviour = { rate: 6 * MIB };
    await fetcher.start();
    await spool.start();
    await order(
      'web01',
      `connection = "web"\nvm = "/web01.raw"\nsha256 = { "web01.raw" = "${sha256(disk)}" }\n`,
    );
    const running = await spool.waitForJob(({ bytes_per_second }) => (bytes_per_second ?? 0) > 0, 60);
    expect(running).toMatchObject({ vm: 'web01', stage: 'fetch', eta_seconds: expect.any(Number) });
    for (const { pid } of [fetcher, spool])
      for (const file of ['cmdline', 'environ'])
        expect(await readFile(`/proc/${pid}/${file}`, 'latin1')).not.toContain(CANARY);
    const directory = await bundle();
    expect((await readFile(join(directory, 'web01-disk0.raw'))).equals(disk)).toBe(true);
    expect(await readJson(join(directory, 'report.json'))).toMatchObject({
      source: {
        type: 'http',
        connection: 'web',
        vm: ['/web01.raw'],
        transport: 'http',
        bytes: disk.length,
        files: [{ name: 'web01.raw', size: disk.length, sha256: sha256(disk) }],
        dropped: [{ path: 'web01.job.toml' }],
      },
    });
    expect(await readdir(spool.path('work'))).toEqual([]);
    expect(server.requests.every(({ headers }) => headers.authorization === `Bearer ${CANARY}`)).toBe(true);
    expect(await filesWith(spool.directory, CANARY)).toEqual([]);
    expect(spool.log + fetcher.log).not.toContain(CANARY);
  });

  it('comes from a bucket of S3 by signed requests, after a kill of the unit too', async () => {
    const disk = Buffer.concat([randomBytes(6 * MIB), Buffer.alloc(8 * MIB)]);
    bucket.put('exports/web 01/web01.raw', disk);
    bucket.behave({ rate: 4 * MIB });
    await fetcher.start();
    await spool.start();
    await order('web01', 'connection = "s3"\nvm = "/exports/web 01/web01.raw"\n');
    await until('the first bytes', 60, async () => bucket.files.sent > 2 * MIB);
    await fetcher.kill();
    await fetcher.start();
    for (const { pid } of [fetcher, spool])
      for (const file of ['cmdline', 'environ'])
        expect(await readFile(`/proc/${pid}/${file}`, 'latin1')).not.toContain(CANARY);
    bucket.behave({});
    const directory = await bundle();
    expect((await readFile(join(directory, 'web01-disk0.raw'))).equals(disk)).toBe(true);
    expect(await readJson(join(directory, 'report.json'))).toMatchObject({
      source: { type: 's3', connection: 's3', transport: 's3', vm: ['/exports/web 01/web01.raw'] },
    });
    expect(bucket.verified).toBe(bucket.files.requests.length);
    expect(await filesWith(spool.directory, CANARY)).toEqual([]);
    expect(spool.log + fetcher.log).not.toContain(CANARY);
  });

  it('comes whole although the fetching unit is killed again and again, with a few MiB twice for each', async () => {
    const disk = randomBytes(56 * MIB + 512);
    server.serve('/vms/web01.raw', disk);
    server.behaviour = { rate: 4 * MIB };
    await fetcher.start();
    await spool.start();
    await order('web01', 'connection = "web"\nvm = "/web01.raw"\n');
    const kills = 5;
    for (let kill = 0; kill < kills; kill += 1) {
      const before = server.sent;
      // Each time something of it arrived.
      await until('the next bytes', 60, async () => server.sent > before + 6 * MIB);
      await fetcher.kill();
      await fetcher.start();
    }
    server.behaviour = {};
    const directory = await bundle();
    expect(sha256(await readFile(join(directory, 'web01-disk0.raw')))).toBe(sha256(disk));
    // Of each kill: what was on its way in four connections, and what was not durable yet.
    expect(server.sent).toBeLessThan(disk.length + kills * 8 * MIB);
  });

  it('comes whole although the daemon is killed more often than a job may crash', async () => {
    const disk = randomBytes(72 * MIB);
    server.serve('/vms/web01.raw', disk);
    server.behaviour = { rate: 3 * MIB };
    await fetcher.start();
    await spool.start();
    await order('web01', 'connection = "web"\nvm = "/web01.raw"\n');
    const kills = 4;
    for (let kill = 0; kill < kills; kill += 1) {
      const before = server.sent;
      await until('the next bytes', 60, async () => server.sent > before + 4 * MIB);
      // So that the daemon has heard of it.
      await sleep(700);
      await spool.kill();
      await spool.start();
    }
    server.behaviour = {};
    const directory = await bundle();
    expect(sha256(await readFile(join(directory, 'web01-disk0.raw')))).toBe(sha256(disk));
    // The same as of a killed unit: its requests end with the daemon's.
    expect(server.sent).toBeLessThan(disk.length + kills * 8 * MIB);
  });

  it('continues by `retry` after its credential was corrected', async () => {
    const disk = randomBytes(4 * MIB);
    server.serve('/vms/web01.raw', disk);
    server.behaviour = {
      instead(_request, response) {
        response.writeHead(401).end();
        return true;
      },
    };
    await fetcher.start();
    await spool.start();
    await order('web01', 'connection = "web"\nvm = "/web01.raw"\n');
    const failed = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
    expect(failed.error?.code).toBe('remote.auth');
    server.behaviour = {};
    await spool.post(`/v1/jobs/${failed.job}/retry`);
    const directory = await bundle();
    expect((await readFile(join(directory, 'web01-disk0.raw'))).equals(disk)).toBe(true);
  });

  it.each([
    ['vm = "https://10.0.0.1/x.raw"', 'remote.not-allowed'],
    ['url = "https://10.0.0.1/x.raw"', 'remote.not-allowed'],
    ['connection = "web"\nvm = "/x.raw?sig=abc"', 'remote.secret-in-job'],
    ['connection = "web"\nvm = "/x.raw"\npassword = "abc"', 'remote.secret-in-job'],
    ['connection = "web"\nvm = "/../../etc/shadow"', 'remote.not-allowed'],
    ['connection = "other"\nvm = "/x.raw"', 'remote.connection-unknown'],
  ])('is refused with %j before anything is connected to', async (source, code) => {
    await spool.start();
    await order('web01', `${source}\n`);
    const failed = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
    expect(failed.error?.code).toBe(code);
    expect(server.requests).toEqual([]);
    const [directory] = await spool.results('failed');
    expect(await readdir(join(directory!, 'source'))).toEqual(['web01.job.toml']);
  });

  it('waits for the unit, and names it if it does not come', async () => {
    const config = spool.path('config.toml');
    await writeFile(config, (await readFile(config, 'utf8')).replace('attempts = 10', 'attempts = 4'));
    await spool.start();
    await order('web01', 'connection = "web"\nvm = "/web01.raw"\n');
    const failed = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
    expect(failed.error).toMatchObject({
      code: 'remote.unreachable',
      advice: expect.stringContaining('systemctl enable --now hyper2kvm-fetch'),
    });
  });
});

describe('convert of a remote VM', () => {
  it('fetches in its own process, with a chain and its description', async () => {
    const directory = spool.path('images');
    await mkdir(directory);
    const image = (...args: string[]) => execFileSync('qemu-img', args, { cwd: directory });
    image('create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', 'base.vmdk', '8M');
    image('create', '-q', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', 'base-000001.vmdk');
    const vmx =
      'displayName = "shop"\nmemSize = "512"\nscsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "base-000001.vmdk"\n';
    server.serve('/vms/shop/shop.vmx', Buffer.from(vmx));
    for (const name of ['base.vmdk', 'base-flat.vmdk', 'base-000001.vmdk'])
      server.serve(`/vms/shop/${name}`, await readFile(join(directory, name)));
    const vm = ['shop.vmx', 'base.vmdk', 'base-flat.vmdk', 'base-000001.vmdk'].map((name) => `/shop/${name}`);
    await writeFile(
      spool.path('shop.job.toml'),
      `kind = "data"\n[source]\nconnection = "web"\nvm = ${JSON.stringify(vm)}\n`,
    );
    const cli = new URL('../../dist/cli.js', import.meta.url).pathname;
    const { execa } = await import('execa');
    const { stdout } = await execa(
      process.execPath,
      [
        cli,
        'convert',
        spool.path('shop.job.toml'),
        '-o',
        spool.path('out'),
        '--json',
        '--config',
        spool.path('config.toml'),
      ],
      { env: { CREDENTIALS_DIRECTORY: spool.path('credentials') } },
    );
    const { report } = JSON.parse(stdout);
    expect(report).toMatchObject({
      verdict: 'converted',
      hardware: { name: 'shop', memory_mib: 512 },
      source: {
        connection: 'web',
        files: expect.arrayContaining([expect.objectContaining({ name: 'base-flat.vmdk' })]),
      },
    });
    expect(report.disks).toHaveLength(1);
  });
});
