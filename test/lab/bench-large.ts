import { createCipheriv } from 'node:crypto';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { syncPath } from '#hyper2kvm/files/durable.js';
import { forgetPages } from '#hyper2kvm/files/page-cache.js';
import { convertImage } from '#hyper2kvm/tools/qemu-img.js';
import { run } from '#hyper2kvm/tools/run.js';

const CHUNK_BYTES = 64 * 1024 * 1024;
const GIB = 1024 ** 3;
/** Conversions of 8 GiB that nothing else slows down take well under a minute. */
const TIMEOUT_SECONDS = 3600;

interface Pair {
  qemuSeconds: number;
  jobSeconds: number;
  /** What the report says that CONVERT read from disks and wrote to them, over what had to be. */
  readOverUsed: number;
  writtenOverDelivered: number;
}

/**
 * Converts a disk of so many GiB that cannot be compressed, VMDK to qcow2, in turn by qemu-img (and fsync) and
 * by a whole job of kind `data` without the comparison. The source is not in the page cache when either starts.
 */
export async function benchLarge(
  cli: string,
  scratch: string,
  { gib, rounds, compression }: { gib: number; rounds: number; compression: 'none' | 'zstd' },
): Promise<Pair[]> {
  const disk = await makeDisk(scratch, gib);
  const config = join(scratch, 'large.toml');
  await writeFile(config, `[validate]\nenabled = false\n[convert]\ncompression = "${compression}"\n`);
  const pairs: Pair[] = [];
  for (let round = 0; round < rounds; round++) {
    const qemuSeconds = await seconds(disk, () =>
      bareConvert(disk, join(scratch, 'bare.qcow2'), compression),
    );
    await rm(join(scratch, 'bare.qcow2'));
    const output = join(scratch, 'large');
    let stdout = '';
    const jobSeconds = await seconds(disk, async () => {
      const args = [cli, 'convert', disk, '-o', output, '--config', config, '--json'];
      const ended = await run(process.execPath, args, { timeoutSeconds: TIMEOUT_SECONDS });
      stdout = ended.stdout.toString('utf8');
    });
    const { directory } = JSON.parse(stdout) as { directory: string };
    const report = JSON.parse(await readFile(join(directory, 'report.json'), 'utf8')) as {
      device: { read: number; used: number; written: number; delivered: number };
    };
    await rm(output, { recursive: true });
    const { read, used, written, delivered } = report.device;
    pairs.push({
      qemuSeconds,
      jobSeconds,
      readOverUsed: read / used,
      writtenOverDelivered: written / delivered,
    });
  }
  return pairs;
}

async function bareConvert(source: string, target: string, compression: 'none' | 'zstd'): Promise<void> {
  const compressed =
    compression === 'none' ? {} : { compress: true, settings: { compression_type: compression } };
  await convertImage(
    { source, sourceFormat: 'vmdk', target, targetFormat: 'qcow2', ...compressed },
    { timeoutSeconds: TIMEOUT_SECONDS },
  );
  await syncPath(target);
}

async function seconds(source: string, work: () => Promise<void>): Promise<number> {
  await run('sync', [], { timeoutSeconds: TIMEOUT_SECONDS });
  const file = await open(source, 'r');
  forgetPages(file, 0, (await file.stat()).size);
  await file.close();
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

/** The key stream of a cipher: as incompressible as random bytes, and the same each time. */
async function makeDisk(scratch: string, gib: number): Promise<string> {
  const raw = join(scratch, 'large.raw');
  const disk = join(scratch, 'large.vmdk');
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  const file = await open(raw, 'w');
  for (let at = 0; at < gib * GIB; at += CHUNK_BYTES) await file.write(cipher.update(zeros));
  await file.close();
  await convertImage(
    { source: raw, sourceFormat: 'raw', target: disk, targetFormat: 'vmdk' },
    { timeoutSeconds: TIMEOUT_SECONDS },
  );
  await rm(raw);
  await writeFile(join(scratch, 'large.job.toml'), 'kind = "data"\n');
  return disk;
}
