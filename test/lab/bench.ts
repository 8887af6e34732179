import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import { syncPath } from '#hyper2kvm/files/durable.js';
import { convertImage } from '#hyper2kvm/tools/qemu-img.js';
import { run } from '#hyper2kvm/tools/run.js';
import { benchLarge } from './bench-large.ts';
import { benchQueue } from './bench-queue.ts';
import { benchAtRest } from './bench-rest.ts';
import { formOf } from './forms.ts';
import { buildGuest } from './guest.ts';
import { type GuestRecipe, RECIPES } from './recipes.ts';

/**
 * `npm run bench [-- FILE]`: hyper2kvm (VALIDATE aside), virt-v2v and a bare `qemu-img convert` on the same
 * guest in one run. Prints a table and writes the figures as JSON to FILE (default: hyper2kvm-bench.json in
 * the temporary directory). `npm run bench -- --at-rest [MINUTES]`: the daemon with nothing to do. `npm run bench --
 * --large [GIB] [zstd]`: a whole job of a data disk against qemu-img and fsync, in turn.
 */
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
/** Two runs each, alternating; the better one counts, since other work on the machine only ever adds. */
const ROUNDS = 2;

/**
 * virt-v2v stops at by-path names in fstab (2.2.0), so its guest has the kernel's: hyper2kvm gets the same.
 */
function benchRecipe(): GuestRecipe {
  const recipe = RECIPES['bookworm-bios'];
  return {
    ...recipe,
    name: 'bookworm-bench',
    disks: recipe.disks.map((disk) => ({
      ...disk,
      partitions: disk.partitions.map((partition) => ({ ...partition, namedBy: 'kernel' as const })),
    })),
  };
}

interface StageFigures {
  stage: string;
  seconds: number;
  bytes_read: number;
  bytes_written: number;
  appliance_launches: number;
}
interface Measured {
  seconds: number;
  /**
   * Bytes that reached the disk below the scratch directory, the whole machine's (nothing else should run).
   */
  diskBytes: number;
}

const scratch = await mkdtemp(join(tmpdir(), 'hyper2kvm-bench-'));
try {
  if (process.argv[2] === '--at-rest') await atRest(Number(process.argv[3] ?? 10));
  else if (process.argv[2] === '--large')
    await large(Number(process.argv[3] ?? 8), process.argv[4] === 'zstd');
  else await main(process.argv[2] ?? join(tmpdir(), 'hyper2kvm-bench.json'));
} catch (error) {
  const { code, message, advice } = errorRecord(error);
  process.stderr.write(`${code}: ${message}\n${advice}\n`);
  process.exitCode = 1;
} finally {
  await rm(scratch, { recursive: true, force: true });
}

/** The budgets: 120 MB resident and a thousandth of a core. */
async function atRest(minutes: number): Promise<void> {
  const figures = await benchAtRest(10_000, minutes * 60);
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
  const { start, rest } = figures;
  const within = Math.max(start.peak_rss_bytes, rest.peak_rss_bytes) < 120_000_000 && rest.core_share < 0.001;
  process.stdout.write(within ? 'All budgets are met.\n' : 'A budget is exceeded.\n');
  if (!within) process.exitCode = 1;
}

/** The budgets: 1.2 times qemu-img's time, a tenth more than each byte once. */
async function large(gib: number, isCompressed: boolean): Promise<void> {
  const compression = isCompressed ? 'zstd' : 'none';
  const pairs = await benchLarge(CLI, scratch, { gib, rounds: 3, compression });
  process.stdout.write(`${JSON.stringify(pairs, null, 2)}\n`);
  const ratios = pairs.map(({ jobSeconds, qemuSeconds }) => jobSeconds / qemuSeconds).sort((a, b) => a - b);
  const median = ratios[Math.floor(ratios.length / 2)]!;
  const read = Math.max(...pairs.map(({ readOverUsed }) => readOverUsed));
  process.stdout.write(`whole job / qemu-img and fsync ${median.toFixed(2)}   (budget: at most 1.2)\n`);
  process.stdout.write(`read from disks / used bytes   ${read.toFixed(2)}   (budget: at most 1.1)\n`);
  if (median > 1.2 || read > 1.1) process.exitCode = 1;
}

async function main(resultFile: string): Promise<void> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const guest = await buildGuest(benchRecipe(), { say });
  const disk = await formOf(guest.image, 'monolithicSparse', scratch);
  const config = join(scratch, 'config.toml');
  await writeFile(config, '[validate]\nenabled = false\n');

  const bare: Awaited<ReturnType<typeof bareConvert>>[] = [];
  const ours: (Measured & { stages: StageFigures[]; launches: number; output: number })[] = [];
  const peer: Measured[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    say(`round ${round + 1} of ${ROUNDS}: qemu-img convert`);
    bare.push(await bareConvert(disk, join(scratch, `bare${round}.qcow2`)));
    say(`round ${round + 1} of ${ROUNDS}: hyper2kvm convert, without VALIDATE`);
    ours.push(await hyper2kvm(disk, config, join(scratch, `ours${round}`)));
    say(`round ${round + 1} of ${ROUNDS}: virt-v2v`);
    peer.push(await virtV2v(disk, join(scratch, `peer${round}`)));
  }
  say('queue: 10,000 jobs');
  const queueSeconds = await benchQueue(10_000);
  const best = <T extends Measured>(runs: readonly T[]) =>
    runs.reduce((a, b) => (b.seconds < a.seconds ? b : a));
  const [qemu, mine, v2v] = [best(bare), best(ours), best(peer)];
  const convert = mine.stages.find(({ stage }) => stage === 'convert')?.seconds ?? 0;
  const figures = {
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() },
    guest: { recipe: guest.recipe.name, vmdk_bytes: (await stat(disk)).size },
    qemu_img_convert: { best: qemu, runs: bare },
    hyper2kvm: { best: mine, runs: ours },
    virt_v2v: { best: v2v, runs: peer },
    queue_10000_jobs_seconds: queueSeconds,
    ratios: {
      virt_v2v_over_hyper2kvm: v2v.seconds / mine.seconds,
      convert_over_qemu_img: convert / qemu.seconds,
      convert_over_unsynced_qemu_img: convert / qemu.unsyncedSeconds,
      written_over_output: mine.diskBytes / mine.output,
    },
  };
  await writeFile(resultFile, `${JSON.stringify(figures, null, 2)}\n`);
  say('');
  say('stage       seconds    read MB  written MB');
  for (const { stage, seconds, bytes_read, bytes_written } of mine.stages) {
    say(
      `${stage.padEnd(10)} ${seconds.toFixed(2).padStart(8)} ${megabytes(bytes_read)} ${megabytes(bytes_written)}`,
    );
  }
  say('');
  say('tool                                seconds   written to disk MB');
  const row = (name: string, measured: Measured) =>
    say(
      `${name.padEnd(34)} ${measured.seconds.toFixed(1).padStart(8)} ${megabytes(measured.diskBytes).padStart(20)}`,
    );
  row('qemu-img convert and fsync', qemu);
  row('hyper2kvm convert, VALIDATE aside', mine);
  row('virt-v2v', v2v);
  say('');
  const { ratios } = figures;
  say(`virt-v2v / hyper2kvm           ${ratios.virt_v2v_over_hyper2kvm.toFixed(2)}   (budget: at least 4)`);
  say(`CONVERT / qemu-img and fsync   ${ratios.convert_over_qemu_img.toFixed(2)}   (budget: at most 1.05)`);
  say(`CONVERT / qemu-img, not synced ${ratios.convert_over_unsynced_qemu_img.toFixed(2)}`);
  say(`written to disk / output       ${ratios.written_over_output.toFixed(2)}   (budget: at most 1.1)`);
  say(`appliance launches             ${mine.launches}   (budget: 1)`);
  say(`10,000 jobs queued, listed, s  ${queueSeconds.toFixed(2)}   (budget: under 2)`);
  say(`figures: ${resultFile}`);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1).padStart(10);
}

async function measured(work: () => Promise<unknown>): Promise<Measured> {
  await run('sync', []);
  const before = await writtenBytes();
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  await run('sync', []);
  return { seconds, diskBytes: (await writtenBytes()) - before };
}

/**
 * `seconds` includes the fsync, which CONVERT owes too before its checkpoint; `unsyncedSeconds` is what
 * qemu-img alone takes.
 */
async function bareConvert(disk: string, target: string): Promise<Measured & { unsyncedSeconds: number }> {
  let unsyncedSeconds = 0;
  const result = await measured(async () => {
    const started = performance.now();
    await convertImage({ source: disk, sourceFormat: 'vmdk', target, targetFormat: 'qcow2' });
    unsyncedSeconds = (performance.now() - started) / 1000;
    await syncPath(target);
  });
  await rm(target);
  return { ...result, unsyncedSeconds };
}

async function hyper2kvm(disk: string, config: string, output: string) {
  let stdout = '';
  const result = await measured(async () => {
    const ended = await run(
      process.execPath,
      [CLI, 'convert', disk, '-o', output, '--config', config, '--json'],
      {
        timeoutSeconds: 3600,
      },
    );
    stdout = ended.stdout.toString('utf8');
  });
  const { directory } = JSON.parse(stdout) as { directory: string };
  const report = JSON.parse(await readFile(join(directory, 'report.json'), 'utf8')) as {
    stages: StageFigures[];
    disks: { allocated: number }[];
  };
  await rm(output, { recursive: true });
  return {
    ...result,
    stages: report.stages,
    launches: report.stages.reduce((sum, stage) => sum + stage.appliance_launches, 0),
    output: report.disks.reduce((sum, { allocated }) => sum + allocated, 0),
  };
}

async function virtV2v(disk: string, output: string): Promise<Measured> {
  await mkdir(output);
  const result = await measured(() =>
    run('virt-v2v', ['-i', 'disk', disk, '-o', 'local', '-of', 'qcow2', '-os', output], {
      timeoutSeconds: 3600,
      env: { LIBGUESTFS_BACKEND: 'direct', LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg' },
    }),
  );
  await rm(output, { recursive: true });
  return result;
}

/**
 * Sectors written on the device that holds the scratch directory (Documentation/admin-guide/iostats.rst,
 * field 7 counts 512 bytes each).
 */
async function writtenBytes(): Promise<number> {
  const { dev } = await stat(scratch);
  const [major, minor] = [Math.floor(dev / 256), dev % 256];
  const line = (await readFile('/proc/diskstats', 'utf8'))
    .split('\n')
    .map((text) => text.trim().split(/\s+/))
    .find(([left, right]) => Number(left) === major && Number(right) === minor);
  if (line === undefined) throw new Error(`no line for device ${major}:${minor} in /proc/diskstats`);
  return Number(line[9]) * 512;
}
