import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exists } from '#hyper2kvm/files/exists.js';
import type { FileServer } from '../../unit/sources/remote/file-server.ts';
import type { FaultSpool } from './spool.ts';

const MIB = 1024 ** 2;
const KILLS = 100;
const DISK = 512 * MIB;
const MOST_WIRE_BYTES = 1.2 * DISK;

/** Configuration of a spool that fetches from `server` by the fetching unit on that socket. */
export function fetchingToml(server: FileServer, socket: string): string {
  return (
    `[retry]\nattempts = 10\nbackoff_seconds = 0.1\n[remote]\nsocket = ${JSON.stringify(socket)}\n` +
    `[[remote.connections]]\nname = "web"\ntype = "http"\nurl = "${server.url}"\n`
  );
}

/**
 * Fetches one disk while the fetching unit (three times of four) or the daemon is killed a hundred times. Throws
 * when more than a fifth of it comes twice. `finish` waits for the converted job and stops the daemon.
 */
export async function fetchUnderKills(
  spool: FaultSpool,
  server: FileServer,
  socket: string,
  finish: () => Promise<unknown>,
): Promise<void> {
  const disk = randomBytes(DISK);
  server.serve('/fetched.raw', disk);
  server.behaviour = { rate: 2 * MIB };
  spool.startUnit();
  await spool.start();
  await order(spool);
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const before = server.sent;
    await until(`byte ${before} and the next`, async () => server.sent > before + 3.5 * MIB);
    if (kill % 4 === 0) {
      // The daemon must have heard of what arrived, or the job counts as one that crashed it.
      await sleep(700);
      await spool.kill();
      await spool.start();
    } else {
      await spool.killUnit();
      await rm(socket, { force: true });
      spool.startUnit();
      await until('the fetching unit', () => exists(socket));
    }
  }
  server.behaviour = {};
  await finish();
  const fetched = await digestOfResult(spool);
  const digest = createHash('sha256').update(disk).digest('hex');
  if (fetched !== digest) throw new Error(`fetched ${fetched} instead of ${digest}`);
  if (server.sent > MOST_WIRE_BYTES)
    throw new Error(`${server.sent} bytes were sent for ${DISK}, with ${KILLS} kills`);
  process.stdout.write(`fetch-killed: ${(server.sent / DISK).toFixed(3)} times the disk's bytes were sent\n`);
}

async function order(spool: FaultSpool): Promise<void> {
  const text = 'kind = "data"\n[source]\nconnection = "web"\nvm = "/fetched.raw"\n';
  const name = 'fetched.job.toml';
  await writeFile(join(spool.directory, 'tmp', name), text);
  await rename(join(spool.directory, 'tmp', name), join(spool.places.incoming, name));
  const digest = createHash('sha256').update(text).digest('hex');
  spool.drops.push({ name: 'fetched', kind: 'good', files: new Map([[name, digest]]) });
}

/** The digest of the fetched disk, as the report has it. */
async function digestOfResult(spool: FaultSpool): Promise<string | undefined> {
  const [day = ''] = await readdir(spool.places.archive);
  const [name = ''] = await readdir(join(spool.places.archive, day));
  const report = await readFile(join(spool.places.archive, day, name, 'report.json'), 'utf8');
  const { source } = JSON.parse(report) as { source: { files: { sha256: string }[] } };
  return source.files[0]?.sha256;
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`waited a minute for ${what}`);
    await sleep(10);
  }
}
