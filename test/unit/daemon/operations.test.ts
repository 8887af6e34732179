import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { Admission } from '../../../src/daemon/admission.js';
import { FIXED_BYTES } from '../../../src/daemon/space-needs.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import { enqueue, scratchDirectory, scratchQueue } from '../queue/scratch.js';
import { daemonParts } from './support.js';

const MIB = 1024 ** 2;

/** A job whose drop of 10 MiB is in `failed`. */
async function retryFrom(failed: string, work: string) {
  const queue = scratchQueue();
  const config = configSchema.parse({ spool: { work, archive: work } });
  await enqueue(queue, 'j1');
  mkdirSync(join(failed, 'source'), { recursive: true });
  writeFileSync(join(failed, 'source', 'vm-j1.vmdk'), Buffer.alloc(10 * MIB, 1));
  queue.set('j1', {
    ...{ state: 'failed', outcome: 'failed', directory: failed, reservedBytes: 0 },
    error: errorRecord(new Hyper2kvmError('fetch.corrupt', 'no', { advice: 'x' })),
    finishedAt: new Date().toISOString(),
  });
  const { operations, worker } = daemonParts(queue, config);
  onTestFinished(() => worker.stop());
  // It is asked for what it was queued with, not started.
  await queue.pause.set(true, () => []);
  await operations.retry('j1', {});
  return (await queue.jobs.get('j1'))!;
}

describe('retry', () => {
  it('asks for the space that a drop of that size is admitted with', async () => {
    const directory = scratchDirectory();
    const failed = join(directory, 'failed', 'vm-j1-j1');
    const job = await retryFrom(failed, directory);
    expect(job).toMatchObject({ state: 'queued', reopen: failed, outcome: null, error: null });
    // The used data and half as much again, beside the fixed part; the worker starts it when that is free.
    expect(job.reservedBytes).toBe(15 * MIB + FIXED_BYTES);
    expect(job.waitsForBytes).toBe(job.reservedBytes);
  });

  it('asks also for the space of the copy, where the drop is on another filesystem', async () => {
    const failed = mkdtempSync('/dev/shm/h2k-test-');
    onTestFinished(() => rmSync(failed, { recursive: true }));
    const job = await retryFrom(failed, scratchDirectory());
    expect(job.reservedBytes).toBe(25 * MIB + FIXED_BYTES);
  });

  it('refuses a drop whose copy the filesystem of the work directory can never hold', async () => {
    const failed = mkdtempSync('/dev/shm/h2k-test-');
    onTestFinished(() => rmSync(failed, { recursive: true }));
    vi.spyOn(Admission.prototype, 'canEverFit').mockResolvedValue(false);
    onTestFinished(() => void vi.restoreAllMocks());
    await expect(retryFrom(failed, scratchDirectory())).rejects.toMatchObject({ code: 'host.no-space' });
  });
});
