import { createHash, randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FileServer } from '../unit/sources/remote/file-server.js';
import { Spool } from './support/daemon.js';
import { Fetcher } from './support/fetcher.js';

const MIB = 1024 * 1024;
const KILLS = 20;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

let server: FileServer;
let spool: Spool;
let fetcher: Fetcher;
beforeEach(async () => {
  server = await FileServer.start();
  spool = await Spool.create(
    `[retry]\nattempts = 10\nbackoff_seconds = 0.1\n[convert]\nformat = "raw"\n[remote]\nsocket = "SOCKET"\n` +
      `[[remote.connections]]\nname = "web"\ntype = "http"\nurl = "${server.url}"\n`,
  );
  const config = spool.path('config.toml');
  await writeFile(config, (await readFile(config, 'utf8')).replace('SOCKET', spool.path('fetch.sock')));
  fetcher = new Fetcher(spool);
});
afterEach(async () => {
  await spool.destroy();
  await fetcher.kill();
  await server.stop();
});

it(`comes whole although the fetching unit is killed ${KILLS} times, with at most a fifth of it twice`, async () => {
  const disk = randomBytes(96 * MIB + 512);
  server.serve('/web01.raw', disk);
  server.behaviour = { rate: 4 * MIB };
  await fetcher.start();
  await spool.start();
  await writeFile(spool.path('order'), 'kind = "data"\n[source]\nconnection = "web"\nvm = "/web01.raw"\n');
  await rename(spool.path('order'), spool.path('incoming', 'web01.job.toml'));
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = server.sent;
    // Each time something of it arrived.
    while (server.sent < before + 3.5 * MIB) await sleep(10);
    await fetcher.kill();
    await fetcher.start();
  }
  server.behaviour = {};
  await spool.waitForJob(({ state }) => state === 'converted', 120);
  const [directory] = await spool.results('archive');
  expect(sha256(await readFile(join(directory!, 'web01-disk0.raw')))).toBe(sha256(disk));
  expect(server.sent / disk.length).toBeLessThan(1.2);
});
