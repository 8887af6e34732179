import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ControlClient } from '#hyper2kvm/api/client.js';
import type { JobDetail } from '#hyper2kvm/api/protocol.js';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import type { Report } from '#hyper2kvm/report/report.js';
import { run } from '#hyper2kvm/tools/run.js';
import { formOf } from './forms.ts';
import { buildGuest } from './guest.ts';
import { progressLine, stageLines, verdictText } from './quickstart-text.ts';
import { RECIPES } from './recipes.ts';

/**
 * The main of `npm run quickstart [-- DISK]`: a guest as VMware leaves it (or DISK), through a daemon with a
 * spool of its own.
 */
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const POLL_MILLISECONDS = 500;
const base = process.env.HYPER2KVM_QUICKSTART_DIR ?? join(homedir(), 'hyper2kvm-quickstart');
const spool = join(base, 'spool');
const socket = join(base, 'control.sock');
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
process.once('SIGTERM', () => interrupted.abort());

try {
  process.exitCode = await main(process.argv[2]);
} catch (error) {
  const { code, message, advice } = errorRecord(error);
  console.error(interrupted.signal.aborted ? 'interrupted' : `${code}: ${message}\n${advice}`);
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
}

/** Returns the exit code: 0 converted, 1 failed. */
async function main(disk: string | undefined): Promise<number> {
  const config = await makeSpool();
  const prepared = await prepare(disk);
  console.log(`Starting the daemon (log: ${join(base, 'daemon.log')})`);
  const daemon = startDaemon(config);
  const client = new ControlClient(socket);
  try {
    const status = await until(daemon, () => client.status());
    try {
      // Two seconds of room for clocks that count whole seconds; an earlier run with this name is older.
      const since = new Date(Date.now() - 2_000).toISOString();
      const name = basename(prepared).replace(/^\.|\.part$/g, '');
      // A rename is noticed at once and whole.
      await rename(prepared, join(spool, 'incoming', name));
      console.log(`Dropped ${name} into ${join(spool, 'incoming')}`);
      const job = await follow(client, daemon, name, since);
      console.log(`\n${await verdictOf(job)}`);
      return job.state === 'converted' ? 0 : 1;
    } finally {
      process.kill(status.pid, 'SIGTERM');
      await Promise.race([daemon.ended, sleep(20_000, undefined, { ref: false })]);
    }
  } finally {
    daemon.kill();
  }
}

async function makeSpool(): Promise<string> {
  for (const directory of ['incoming', 'work', 'archive', 'failed']) {
    await mkdir(join(spool, directory), { recursive: true });
  }
  const text = `# Made by npm run quickstart.
[spool]
incoming = ${JSON.stringify(join(spool, 'incoming'))}
work = ${JSON.stringify(join(spool, 'work'))}
archive = ${JSON.stringify(join(spool, 'archive'))}
failed = ${JSON.stringify(join(spool, 'failed'))}
[state]
database = ${JSON.stringify(join(base, 'queue.db'))}
[control]
socket = ${JSON.stringify(socket)}
[watch]
settle_seconds = 2
poll_seconds = 1
`;
  const config = join(base, 'config.toml');
  await writeFile(config, text);
  return config;
}

/** Puts the drop beside the spool's `incoming` under a name that no scan takes; returns that path. */
async function prepare(disk: string | undefined): Promise<string> {
  if (disk !== undefined) {
    const source = resolve(disk);
    await stat(source);
    const copy = join(spool, `.${basename(source)}.part`);
    await rm(copy, { recursive: true, force: true });
    console.log(`Copying ${source}; the original is not changed`);
    await run('cp', ['-rL', '--reflink=auto', '--sparse=auto', source, copy], {
      timeoutSeconds: 24 * 3600,
      signal: interrupted.signal,
    });
    return copy;
  }
  console.log('Building a Debian 12 guest as VMware leaves it (disk names, drivers, network interface name)');
  const guest = await buildGuest(RECIPES['bookworm-bios'], { say: (line) => console.log(`  ${line}`) });
  const scratch = join(base, 'vmdk');
  const file = await formOf(guest.image, 'monolithicSparse', scratch, { name: 'debian12' });
  const drop = join(spool, '.debian12.vmdk.part');
  await rename(file, drop);
  await rm(scratch, { recursive: true });
  return drop;
}

interface Daemon {
  ended: Promise<unknown>;
  /** Why the daemon ended, once it has. */
  failure(): unknown;
  kill(): void;
}

function startDaemon(config: string): Daemon {
  const log = createWriteStream(join(base, 'daemon.log'));
  const killed = new AbortController();
  let failure: unknown;
  const ended = run(process.execPath, [CLI, 'daemon', '--config', config], {
    signal: killed.signal,
    timeoutSeconds: 24 * 3600,
    onStdout: (chunk) => log.write(chunk),
  })
    .then(
      () => {
        failure = new Error('the daemon ended by itself');
      },
      (error: unknown) => {
        failure = error;
      },
    )
    .finally(() => log.end());
  return { ended, failure: () => failure, kill: () => killed.abort() };
}

/** Asks until there is an answer, for a minute, as long as the daemon lives. */
async function until<T>(daemon: Daemon, ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    interrupted.signal.throwIfAborted();
    if (daemon.failure() !== undefined) throw daemon.failure();
    try {
      return await ask();
    } catch (error) {
      if (tries > 120) throw error;
    }
    await sleep(POLL_MILLISECONDS);
  }
}

async function follow(
  client: ControlClient,
  daemon: Daemon,
  drop: string,
  since: string,
): Promise<JobDetail> {
  const terminal = process.stdout.isTTY;
  const shown = new Set<string>();
  let last = '';
  for (;;) {
    const job = await until(daemon, async () => {
      const jobs = await client.jobs({});
      return jobs.filter((candidate) => candidate.drop === drop && candidate.created_at >= since).at(-1);
    });
    if (job !== undefined) {
      const detail = job.job === '' ? undefined : await client.job(job.job);
      for (const line of detail === undefined ? [] : stageLines(detail)) {
        if (shown.has(line)) continue;
        shown.add(line);
        process.stdout.write(`${terminal ? '\r\x1b[K' : ''}${line}\n`);
      }
      if (detail !== undefined && ['converted', 'failed', 'cancelled'].includes(detail.state)) return detail;
      const line = progressLine(job);
      if (terminal) process.stdout.write(`\r\x1b[K${line}`);
      else if (job.stage !== null && job.stage !== last) console.log(line);
      last = job.stage ?? '';
    }
    await sleep(POLL_MILLISECONDS, undefined, { signal: interrupted.signal });
  }
}

async function verdictOf(job: JobDetail): Promise<string> {
  if (job.state !== 'converted' || job.directory === null) return verdictText(job, undefined);
  return verdictText(job, JSON.parse(await readFile(join(job.directory, 'report.json'), 'utf8')) as Report);
}
