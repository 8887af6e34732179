import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ControlClient } from '#hyper2kvm/api/client.js';
import { run } from '#hyper2kvm/tools/run.js';
import { unitNodeOptions } from './unit-options.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
/** Unfinished copies among the files; the rest is no disk at all. */
const PARTIAL = 100;
/** The daemon starts, takes stock and probes the accelerator in it: not rest yet. */
const START_SECONDS = 60;
const CLOCK_TICKS = 100;

/** Resident bytes (peak, and at the end) and the share of one core, in the first minute and after it. */
export interface RestFigures {
  files: number;
  seconds: number;
  ready_seconds: number;
  start: { peak_rss_bytes: number; core_share: number };
  rest: { peak_rss_bytes: number; rss_bytes: number; core_share: number };
}

/**
 * The real daemon on `files` files that it has nothing to do with, watched for `seconds` (more than the first
 * minute).
 */
export async function benchAtRest(files: number, seconds: number): Promise<RestFigures> {
  const directory = await mkdtemp(join(tmpdir(), 'hyper2kvm-rest-'));
  const at = (name: string) => join(directory, name);
  try {
    for (const name of ['incoming', 'work', 'archive', 'failed']) await mkdir(at(name));
    for (let index = 0; index < files; index += 1) {
      const name = `vm${String(index).padStart(5, '0')}`;
      await writeFile(at(`incoming/${name}.${index < PARTIAL ? 'vmdk.part' : 'txt'}`), name);
    }
    const paths = ['incoming', 'work', 'archive', 'failed'].map((name) => `${name} = "${at(name)}"\n`);
    await writeFile(
      at('config.toml'),
      `[spool]\n${paths.join('')}[state]\ndatabase = "${at('queue.db')}"\n[control]\nsocket = "${at('control.sock')}"\n`,
    );
    return await watchDaemon(at('config.toml'), new ControlClient(at('control.sock')), files, seconds);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function watchDaemon(
  config: string,
  client: ControlClient,
  files: number,
  seconds: number,
): Promise<RestFigures> {
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  const end = new AbortController();
  const daemon = run(process.execPath, [CLI, 'daemon', '--config', config], {
    signal: end.signal,
    timeoutSeconds: seconds + 120,
    onStdout: () => undefined,
    env: { NODE_OPTIONS: unitNodeOptions() },
  });
  // Its end is awaited below; until then a failure is seen by the questions that get no answer.
  daemon.catch(() => undefined);
  try {
    const pid = await readyPid(client);
    const readySeconds = elapsed();
    const start = await watchUntil(pid, elapsed, START_SECONDS);
    const rest = await watchUntil(pid, elapsed, seconds);
    process.kill(pid, 'SIGTERM');
    await daemon;
    return { files, seconds, ready_seconds: readySeconds, start, rest };
  } finally {
    end.abort();
  }
}

async function readyPid(client: ControlClient): Promise<number> {
  for (let tries = 0; ; tries += 1) {
    const status = await client.status().catch((error: unknown) => {
      if (tries > 600) throw error;
      return null;
    });
    if (status !== null) return status.pid;
    await sleep(100);
  }
}

async function watchUntil(
  pid: number,
  elapsed: () => number,
  until: number,
): Promise<{ peak_rss_bytes: number; rss_bytes: number; core_share: number }> {
  const from = elapsed();
  const before = await coreSeconds(pid);
  let rss = 0;
  let peak = 0;
  while (elapsed() < until) {
    rss = await residentBytes(pid);
    peak = Math.max(peak, rss);
    await sleep(500);
  }
  const share = ((await coreSeconds(pid)) - before) / (elapsed() - from);
  return { peak_rss_bytes: peak, rss_bytes: rss, core_share: share };
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** proc(5): utime and stime, the 14th and 15th field; the second may have blanks and parentheses in it. */
async function coreSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}
