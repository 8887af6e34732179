import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { Admission } from '../../../src/daemon/admission.js';
import { Board } from '../../../src/daemon/live-progress.js';
import { type OperationParts, Operations } from '../../../src/daemon/operations.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import { createLog } from '../../../src/host/log.js';
import { enqueue, scratchDirectory, scratchQueue } from '../queue/scratch.js';

const MIB = 1024 ** 2;

describe('retry', () => {
  it('asks for the space that a drop of that size is admitted with', async () => {
    const directory = scratchDirectory();
    const queue = scratchQueue(directory);
    const config = configSchema.parse({ spool: { work: directory } });
    enqueue(queue, 'j1');
    const failed = join(directory, 'failed', 'vm-j1-j1');
    mkdirSync(join(failed, 'source'), { recursive: true });
    writeFileSync(join(failed, 'source', 'vm-j1.vmdk'), Buffer.alloc(10 * MIB, 1));
    queue.jobs.update('j1', {
      ...{ state: 'failed', outcome: 'failed', directory: failed, reservedBytes: 0 },
      error: errorRecord(new Hyper2kvmError('fetch.corrupt', 'no', { advice: 'x' })),
      finishedAt: new Date().toISOString(),
    });
    const log = createLog({ level: 'error', writer: () => {} });
    const admission = new Admission(queue, directory, log.logger, () => {});
    const parts = { queue, admission, config: () => config, wake: () => {}, board: new Board() };
    // Its worker and its status are for other operations.
    await new Operations(parts as unknown as OperationParts).retry('j1', {});
    const job = queue.jobs.get('j1');
    expect(job).toMatchObject({ state: 'queued', reopen: failed, outcome: null, error: null });
    // The used data and half as much again, beside the fixed part; the worker starts it when that is free.
    expect(job?.reservedBytes).toBeGreaterThanOrEqual(15 * MIB);
    expect(job?.waitsForBytes).toBe(job?.reservedBytes);
  });
});
