import { existsSync } from 'node:fs';
import { mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import { sha256File } from '#hyper2kvm/files/digest.js';
import { run } from '#hyper2kvm/tools/run.js';
import { checkSpool, type Findings } from './check.ts';
import { type Deeds, drive } from './drive.ts';
import { FaultSpool } from './spool.ts';
import { Tally } from './tally.ts';
import { readRecords, recordCount, replay } from './write-log.ts';

/** Admission wants a quarter of a GiB beside what it reserves. */
const DISK_BYTES = 1024 ** 3;
const LOG_BYTES = 8 * 1024 ** 3;

/** A result that the daemon reported, with how many records the log had by then. */
interface Reported {
  vm: string;
  directory: string;
  records: number;
}

export interface PowerOptions {
  base: string;
  /** At so many random points, or each time when a result was just reported. */
  cuts: number | 'reports';
  /** Ends the series, in milliseconds of `performance.now()`. */
  until: number;
  /** Modules for the recorded daemon's `node --import`. */
  preload?: string[];
}

/** What this machine needs for it; null when all is there. */
export function whyNoPowerLoss(): string | null {
  if (process.getuid?.() !== 0) return 'it mounts filesystems: run it as root';
  for (const path of ['/dev/fuse', '/dev/loop-control']) if (!existsSync(path)) return `there is no ${path}`;
  return null;
}

/**
 * The whole spool lies on an ext4 whose disk logs every write and flush (QEMU's `blklogwrites`, over FUSE and
 * a loop device). The power then fails `cuts` times at random points of the log: all writes before the last
 * flush are there, of those after it a random part, the rest is lost. What was reported by then must be
 * there, and a daemon started on that disk brings every drop to its end.
 */
export async function losePower(
  { base, cuts, until, preload = [] }: PowerOptions,
  tally: Tally,
): Promise<void> {
  const files = { disk: join(base, 'disk.img'), log: join(base, 'log.img'), mount: join(base, 'm') };
  await mkdir(files.mount);
  for (const file of [files.disk, files.log]) await writeFile(file, '');
  await truncate(files.disk, DISK_BYTES);
  await truncate(files.log, LOG_BYTES);
  const { spool, accepted, reported } = await recordRun(base, files, preload);
  const records = await readRecords(files.log);
  const random = () => Math.floor(accepted + Math.random() * (records.length - accepted));
  const chosen =
    cuts === 'reports' ? reported.map((each) => each.records) : Array.from({ length: cuts }, random);
  const points = chosen.sort((a, b) => a - b);

  const durable = join(base, 'durable.img');
  await writeFile(durable, '');
  await truncate(durable, DISK_BYTES);
  const [log, disk] = await Promise.all([open(files.log, 'r'), open(durable, 'r+')]);
  try {
    let done = 0;
    for (const cut of points) {
      if (performance.now() > until) break;
      const flushed = records.slice(0, cut).findLastIndex(({ isFlush }) => isFlush) + 1;
      for (; done < flushed; done++) await replay(records[done]!, log, disk);
      const image = join(base, 'cut.img');
      await run('cp', ['--sparse=always', durable, image]);
      const torn = await open(image, 'r+');
      for (const record of records.slice(flushed, cut))
        if (Math.random() < 0.5) await replay(record, log, torn);
      await torn.close();
      const logged = spool.log.length;
      const findings = await withMounted(image, files.mount, () => checkAfterPowerLoss(spool, reported, cut));
      tally.add(`power cut at ${cut} of ${records.length}, flushed ${flushed}`, {
        findings,
        drops: spool.drops.length,
        powerLosses: 1,
        log: spool.log.slice(logged),
      });
    }
  } finally {
    await log.close();
    await disk.close();
  }
}

const NO_SYNC = fileURLToPath(new URL('./no-sync.ts', import.meta.url));

/**
 * The negative control: with a daemon whose files are not synced the same test must find losses, or it would
 * find none anywhere. The power fails just after each report, before the kernel writes by itself.
 */
export async function losePowerUnsynced(base: string, until: number, tally: Tally): Promise<void> {
  const control = new Tally(() => {});
  await losePower({ base, until, cuts: 'reports', preload: [NO_SYNC] }, control);
  const { losses, powerLosses } = control.counts;
  process.stdout.write(`power control: without fsync ${losses} losses in ${powerLosses} power losses\n`);
  const others =
    powerLosses === 0
      ? ['no time was left for it']
      : losses > 0
        ? []
        : ['the power test finds no loss where nothing is synced'];
  const findings = { losses: [], duplicates: [], orphans: [], others };
  tally.add('power control', { findings, drops: 0, log: '' });
}

async function recordRun(
  base: string,
  files: { disk: string; log: string; mount: string },
  preload: string[],
): Promise<{ spool: FaultSpool; accepted: number; reported: Reported[] }> {
  const device = join(base, 'device.img');
  await writeFile(device, '');
  const abort = new AbortController();
  const storage = run('qemu-storage-daemon', storageArguments(files, device), {
    signal: abort.signal,
    timeoutSeconds: 3600,
  });
  const storageEnded = storage.then(
    () => null,
    (error: unknown) => error,
  );
  try {
    for (let tries = 0; (await stat(device)).size !== DISK_BYTES; tries++) {
      if (tries > 100) throw await Promise.race([storageEnded, sleep(0, new Error('no FUSE export'))]);
      await sleep(50);
    }
    await run('mkfs.ext4', ['-q', '-F', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0', device]);
    return await withMounted(device, files.mount, async () => {
      const spool = await FaultSpool.create(files.mount, '[workers]\njobs = 3\n');
      for (const name of ['a', 'b', 'c', 'd']) await spool.drop(name);
      await spool.drop('bad', 'bad');
      // From here on the user may believe that the drops are there.
      await run('sync', ['-f', files.mount]);
      const accepted = recordCount(files.log);
      const reported = await watchRun(spool, files.log, preload);
      return { spool, accepted, reported };
    });
  } finally {
    abort.abort();
    await storageEnded;
    // Its FUSE mount outlives a killed daemon.
    await run('umount', ['--lazy', device], { okCodes: [0, 1, 32] });
  }
}

function storageArguments(files: { disk: string; log: string }, device: string): string[] {
  const raw = (name: string, file: string) => [
    '--blockdev',
    JSON.stringify({ driver: 'raw', 'node-name': name, file: { driver: 'file', filename: file } }),
  ];
  const logged = {
    driver: 'blklogwrites',
    'node-name': 'logged',
    file: 'disk',
    log: 'log',
    'log-sector-size': 512,
    'log-super-update-interval': 1,
  };
  const fuse = { type: 'fuse', id: 'fuse', 'node-name': 'logged', mountpoint: device, writable: true };
  return [
    ...raw('disk', files.disk),
    ...raw('log', files.log),
    '--blockdev',
    JSON.stringify(logged),
    '--export',
    JSON.stringify(fuse),
  ];
}

/** Runs the drops to their end and notes when each result was reported. */
async function watchRun(spool: FaultSpool, log: string, preload: string[]): Promise<Reported[]> {
  const reported = new Map<string, Reported>();
  const noDeeds: Deeds = { retried: new Set(['bad']), cancelled: new Set() };
  try {
    await spool.start({ preload });
    const driving = drive(spool, noDeeds, 120);
    let isDone = false;
    void driving.finally(() => {
      isDone = true;
    });
    while (!isDone || reported.size < spool.drops.length) {
      for (const { vm, directory, state } of await spool.client.jobs()) {
        if (!['converted', 'failed'].includes(state) || directory === null || reported.has(vm)) continue;
        reported.set(vm, { vm, directory, records: recordCount(log) });
      }
      if (isDone && (await driving) !== 'done')
        throw new Error(`the run is ${await driving}\n${spool.log.slice(-3000)}`);
      await sleep(5);
    }
    await spool.stop();
    return [...reported.values()];
  } finally {
    await spool.kill();
  }
}

async function checkAfterPowerLoss(
  spool: FaultSpool,
  reported: readonly Reported[],
  cut: number,
): Promise<Findings> {
  const lost: string[] = [];
  for (const { vm, directory, records } of reported) {
    if (records > cut) continue;
    const drop = spool.drops.find(({ name }) => name === vm);
    for (const [name, digest] of drop?.files ?? []) {
      const found = await sha256File(join(directory, 'source', name)).catch(
        (error: unknown) => errorRecord(error).message,
      );
      if (found !== digest) lost.push(`${vm} was reported, and now ${directory}/source/${name}: ${found}`);
    }
    await readFile(join(directory, 'report.json')).catch((error: unknown) =>
      lost.push(errorRecord(error).message),
    );
  }
  const noDeeds: Deeds = { retried: new Set(['bad']), cancelled: new Set() };
  let end: string;
  try {
    await spool.start();
    end = await drive(spool, noDeeds, 60);
    await spool.stop();
  } finally {
    await spool.kill();
  }
  const findings = await checkSpool(spool);
  findings.losses.push(...lost);
  if (end !== 'done') findings.others.push(`after the power loss the run is ${end}`);
  return findings;
}

async function withMounted<T>(file: string, directory: string, work: () => Promise<T>): Promise<T> {
  const { stdout } = await run('losetup', ['--find', '--show', file]);
  const device = stdout.toString().trim();
  try {
    await run('mount', ['-t', 'ext4', device, directory]);
    try {
      return await work();
    } finally {
      // Lazily: after a failure something may still be at work in it.
      await run('umount', ['--lazy', directory]);
    }
  } finally {
    await run('losetup', ['--detach', device]);
  }
}
