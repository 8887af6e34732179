import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { JobSummary } from '#hyper2kvm/api/protocol.js';
import { freeBytes } from '#hyper2kvm/files/space.js';
import { run } from '#hyper2kvm/tools/run.js';
import { FileServer } from '../../unit/sources/remote/file-server.ts';
import { formOf } from '../forms.ts';
import { buildGuest } from '../guest.ts';
import { RECIPES } from '../recipes.ts';
import { checkSpool, type Findings } from './check.ts';
import { type Deeds, drive } from './drive.ts';
import { fetchingToml, fetchUnderKills } from './fetch-killed.ts';
import { FaultSpool, type StartOptions } from './spool.ts';

/**
 * One real condition: returns the spool with all its work done, for the last check. Throws where something is
 * not as promised.
 */
type Condition = (base: string) => Promise<FaultSpool>;

const CLOCK = fileURLToPath(new URL('./clock.ts', import.meta.url));
const MIB = 1024 ** 2;
/** Room for the guest, its copy while it is dropped, and what admission reserves. */
const GUEST_DISK = '3G';

export const CONDITIONS: Record<string, Condition> = {
  'full-work': (base) => fullWork(base, { database: join(base, 'queue.db') }),
  'full-disk': (base) => fullWork(base, {}),
  'full-database': fullDatabase,
  'incoming-away': incomingAway,
  clock,
  'tool-killed': (base) =>
    brokenConvert(base, `[ -e "$dir/.once" ] || { touch "$dir/.once"; kill -9 $$; }`, null),
  'tool-floods': (base) => brokenConvert(base, 'yes "something is wrong" >&2', 'tool.output-flood'),
  'tool-half': (base) =>
    brokenConvert(base, 'exec REAL create -q -f qcow2 "$last" 4M', 'validate.content-differs'),
  'two-daemons': twoDaemons,
  'fetch-killed': fetchKilled,
  'appliance-dies': applianceDies,
  'appliance-full': (base) => fullUnder(base, 'fix'),
  'boot-full': (base) => fullUnder(base, 'validate'),
  'not-drops': (base) => notDrops(base, 100_000),
  crowd: (base) => crowd(base, 10_000),
};

/** What the condition under way has opened, given back at its end however it ends. */
const spools: FaultSpool[] = [];
const mounts: string[] = [];

export async function checkCondition(
  name: string,
  base: string,
): Promise<{ findings: Findings; drops: number; log: string }> {
  const condition = CONDITIONS[name];
  if (condition === undefined)
    throw new Error(`no condition ${name}: there are ${Object.keys(CONDITIONS).join(', ')}`);
  try {
    const spool = await condition(base);
    return { findings: await checkSpool(spool), drops: spool.drops.length, log: spool.log };
  } finally {
    for (const spool of spools) await spool.kill();
    for (const mounted of mounts.splice(0).reverse())
      await run('umount', ['--lazy', mounted], { okCodes: [0, 1, 32] });
    for (const spool of spools.splice(0)) await spool.destroy();
  }
}

async function open(...args: Parameters<typeof FaultSpool.create>): Promise<FaultSpool> {
  const spool = await FaultSpool.create(...args);
  spools.push(spool);
  return spool;
}

async function mountOn(directory: string, ...args: string[]): Promise<string> {
  await mkdir(directory, { recursive: true });
  await run('mount', [...args, directory]);
  mounts.push(directory);
  return directory;
}

/**
 * Work is full in the middle of CONVERT, with the database on it or not: the job waits, says so once, and
 * goes on when there is room.
 */
async function fullWork(base: string, places: { database?: string }): Promise<FaultSpool> {
  const disk = await mountOn(join(base, 'small'), '-t', 'tmpfs', '-o', 'size=500M', 'tmpfs');
  const spool = await open(disk, '', places);
  await spool.drop('good', 'good', 8 * MIB);
  const fill = `[ -e "$dir/.once" ] || { touch "$dir/.once"; head -c 1G /dev/zero > "$dir/filler" 2>/dev/null; }`;
  await spool.start(await fakeQemuImg(spool, 'convert', fill));
  const [job] = await untilPausedForSpace(spool);
  await rm(join(spool.places.work, job ?? '', 'out', 'filler'));
  await finish(spool, ['converted']);
  for (const message of ['queue paused: not enough space', 'queue resumed: space available'])
    if (spool.log.split(message).length !== 2)
      throw new Error(`"${message}" is not in the log once\n${spool.log.slice(-4000)}`);
  return spool;
}

/** Until `status` says that the queue is paused for space; the jobs there are. */
async function untilPausedForSpace(spool: FaultSpool): Promise<string[]> {
  for (let tries = 0; tries < 600; tries++) {
    const status = await spool.client.status().catch(() => null);
    if (status?.state === 'paused' && status.paused_reason === 'space')
      return (await spool.client.jobs()).map(({ job }) => job);
    await sleep(100);
  }
  throw new Error(`status never said that the queue is paused for space\n${spool.log.slice(-4000)}`);
}

/** A VM comes whole from another host although its fetch is killed a hundred times. */
async function fetchKilled(base: string): Promise<FaultSpool> {
  const server = await FileServer.start();
  const socket = join(base, 'fetch.sock');
  try {
    const spool = await open(base, fetchingToml(server, socket));
    await fetchUnderKills(spool, server, socket, () => finish(spool, ['converted'], 300));
    await spool.killUnit();
    return spool;
  } finally {
    await server.stop();
  }
}

/** The database's own disk is full: nothing is lost, and it goes on by itself. */
async function fullDatabase(base: string): Promise<FaultSpool> {
  const disk = await mountOn(join(base, 'tiny'), '-t', 'tmpfs', '-o', 'size=4M', 'tmpfs');
  const spool = await open(base, '', { database: join(disk, 'queue.db') });
  await spool.start();
  await run('sh', ['-c', `head -c 8M /dev/zero > ${disk}/filler 2>/dev/null || true`]);
  await spool.drop('good');
  await spool.drop('other');
  await sleep(6_000);
  await rm(join(disk, 'filler'));
  await finish(spool, ['converted', 'converted']);
  return spool;
}

/**
 * incoming is unmounted before the drop was taken, and comes back: the drop is a drop again, nothing was
 * concluded meanwhile.
 */
async function incomingAway(base: string): Promise<FaultSpool> {
  const store = join(base, 'store');
  await mkdir(store);
  const incoming = await mountOn(join(base, 'incoming'), '--bind', store);
  const spool = await open(base, '[watch]\nsettle_seconds = 3\npoll_seconds = 0.5\n', {
    incoming,
  });
  await spool.start();
  await spool.drop('good');
  await until(spool, 'the drop to be seen', ({ state }) => state === 'waiting');
  await run('umount', ['--lazy', incoming]);
  await sleep(5_000);
  const counts = (await spool.client.status()).jobs;
  if (counts.failed + counts.running + counts.queued + counts.converted !== 0)
    throw new Error(`with incoming away there are jobs: ${JSON.stringify(counts)}`);
  await run('mount', ['--bind', store, incoming]);
  await finish(spool, ['converted']);
  return spool;
}

async function clock(base: string): Promise<FaultSpool> {
  const spool = await open(base);
  for (const name of ['good', 'other', 'third']) await spool.drop(name);
  await spool.drop('bad', 'bad');
  await spool.start({ preload: [CLOCK] });
  await finish(spool, ['converted', 'converted', 'converted', 'failed']);
  return spool;
}

/**
 * qemu-img convert does `script` first, which may replace it. `code`: the failure that must come of it; null
 * when the job must convert.
 */
async function brokenConvert(base: string, script: string, code: string | null): Promise<FaultSpool> {
  const spool = await open(base);
  await spool.drop('good');
  await spool.start(await fakeQemuImg(spool, 'convert', script));
  const [job] = await finish(spool, [code === null ? 'converted' : 'failed']);
  if (code !== null && job?.error?.code !== code)
    throw new Error(`failed with ${JSON.stringify(job?.error)}`);
  return spool;
}

async function twoDaemons(base: string): Promise<FaultSpool> {
  const spool = await open(base);
  await spool.drop('good');
  await spool.start();
  const { pid } = await spool.client.status();
  const said = await spool.secondDaemon();
  if (!said.includes('daemon.already-running') || !said.includes(String(pid)))
    throw new Error(`the second daemon does not name process ${pid}: ${said}`);
  await finish(spool, ['converted']);
  return spool;
}

/** Files that are no drops, very many, keep nothing from being taken. */
async function notDrops(base: string, count: number): Promise<FaultSpool> {
  const spool = await open(base);
  await run('sh', [
    '-c',
    `cd "$1" && seq -f 'note-%g.txt' ${count} | xargs touch`,
    'sh',
    spool.places.incoming,
  ]);
  const started = performance.now();
  await spool.start();
  await spool.drop('good');
  await until(spool, 'the drop among many files', ({ state }) => state === 'converted', 180);
  process.stdout.write(`${count} files that are not drops: converted after ${seconds(started)} s\n`);
  await spool.stop();
  await run('find', [spool.places.incoming, '-name', 'note-*.txt', '-delete']);
  return spool;
}

/**
 * Very many drops at once, with a kill in the middle: each ends once. They are refused by their options, so
 * that a job is short.
 */
async function crowd(base: string, count: number): Promise<FaultSpool> {
  const spool = await open(base, '[workers]\njobs = 4\n');
  for (let index = 0; index < count; index++) await spool.drop(`vm${index}`, 'bad', 4096);
  const started = performance.now();
  await spool.start();
  const deeds = noRetries(spool);
  await drive(spool, deeds, 20);
  await spool.kill();
  await spool.start();
  const end = await drive(spool, deeds, count);
  if (end !== 'done') throw new Error(`the run is ${end}`);
  process.stdout.write(`${count} drops at once, killed once: all done after ${seconds(started)} s\n`);
  await spool.stop();
  return spool;
}

/** A real guest in FIX: its appliance's QEMU is killed. The job goes on with a new one. */
async function applianceDies(base: string): Promise<FaultSpool> {
  const spool = await open(base);
  await dropGuest(spool);
  await spool.start();
  await until(spool, 'FIX', ({ stage, state }) => state === 'running' && stage === 'fix', 300);
  const appliance = (await spool.processes()).filter(({ command }) => /qemu-system/.test(command));
  if (appliance.length === 0) throw new Error('FIX has no QEMU');
  for (const { pid } of appliance) process.kill(pid, 'SIGKILL');
  await finish(spool, ['converted'], 600);
  if (!spool.log.includes('"guest.died"')) throw new Error(`no guest.died\n${spool.log.slice(-4000)}`);
  return spool;
}

/**
 * A real guest, and the disk under its appliance or its boot test is full: the job waits for space and goes
 * on when there is some.
 */
async function fullUnder(base: string, stage: 'fix' | 'validate'): Promise<FaultSpool> {
  const disk = await mountOn(join(base, 'small'), '-t', 'tmpfs', '-o', `size=${GUEST_DISK}`, 'tmpfs');
  const spool = await open(disk, '', { database: join(base, 'queue.db') });
  await dropGuest(spool);
  await spool.start();
  await until(spool, stage, (job) => job.state === 'running' && job.stage === stage, 300);
  const filler = join(disk, 'filler');
  // Nearly all at once, or the stage would be over first; the rest until nothing fits, for the stage writes
  // meanwhile.
  await run('fallocate', ['-l', String((await freeBytes(disk)) - 128 * MIB), filler]);
  await run('sh', ['-c', 'head -c 1G /dev/zero >>"$1" 2>/dev/null || true', 'sh', filler]);
  await untilPausedForSpace(spool);
  const met = spool.log
    .split('\n')
    .some((line) => line.includes('"host.enospc"') && line.includes(`"stage":"${stage}"`));
  if (!met) throw new Error(`${stage} did not meet the full disk\n${spool.log.slice(-4000)}`);
  await rm(filler);
  await finish(spool, ['converted'], 600);
  return spool;
}

async function dropGuest(spool: FaultSpool): Promise<void> {
  const guest = await buildGuest(RECIPES['bookworm-bios'], { say: (line) => console.log(line) });
  const form = await formOf(guest.image, 'monolithicSparse', join(spool.directory, 'tmp'));
  await spool.dropFile('guest', form);
  await rm(form);
}

/**
 * A PATH whose qemu-img runs `script` before the subcommand `name`; `$last` is its last argument, `$dir` that
 * one's directory, REAL the real program.
 */
async function fakeQemuImg(spool: FaultSpool, name: string, script: string): Promise<StartOptions> {
  const real = (await run('sh', ['-c', 'command -v qemu-img'])).stdout.toString().trim();
  const directory = join(spool.directory, 'bin');
  await mkdir(directory);
  const text = script.replaceAll('REAL', real);
  await writeFile(
    join(directory, 'qemu-img'),
    `#!/bin/sh\nif [ "$1" = ${name} ]; then\nfor last; do :; done\ndir=$(dirname "$last")\n${text}\nfi\nexec ${real} "$@"\n`,
  );
  await chmod(join(directory, 'qemu-img'), 0o755);
  return { env: { PATH: `${directory}:${process.env.PATH}` } };
}

async function until(
  spool: FaultSpool,
  what: string,
  wanted: (job: JobSummary) => boolean,
  timeoutSeconds = 60,
): Promise<JobSummary> {
  const end = performance.now() + timeoutSeconds * 1000;
  while (performance.now() < end) {
    const found = (await spool.client.jobs().catch(() => [])).find(wanted);
    if (found !== undefined) return found;
    await sleep(100);
  }
  throw new Error(`waited ${timeoutSeconds} s for ${what}\n${spool.log.slice(-4000)}`);
}

/** All work done by a daemon that never died; the states that its jobs must have, in any order. */
async function finish(spool: FaultSpool, states: string[], seconds = 120): Promise<JobSummary[]> {
  const end = await drive(spool, noRetries(spool), seconds);
  const jobs = await spool.client.jobs();
  const found = jobs.map(({ state }) => state).sort();
  if (end !== 'done' || found.join() !== [...states].sort().join())
    throw new Error(`${end}: ${found.join()} instead of ${states.join()}\n${spool.log.slice(-4000)}`);
  await spool.stop();
  return jobs;
}

function noRetries({ drops }: FaultSpool): Deeds {
  return { retried: new Set(drops.map(({ name }) => name)), cancelled: new Set() };
}

const seconds = (since: number) => Math.round((performance.now() - since) / 100) / 10;
