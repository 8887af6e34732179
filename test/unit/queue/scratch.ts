import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Claim } from '../../../src/queue/claims.js';
import { openQueue, type Queue } from '../../../src/queue/queue.js';

export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function scratchQueue(directory = scratchDirectory()): Queue & { file: string } {
  const file = join(directory, 'queue.db');
  const queue = openQueue(file);
  onTestFinished(() => queue.close());
  return { ...queue, file };
}

export function testClaim(job: string, extra: Partial<Claim> = {}): Claim {
  return {
    job,
    vm: `vm-${job}`,
    dropName: `vm-${job}.vmdk`,
    entries: [{ name: `vm-${job}.vmdk`, device: 1, inode: 2, bornMs: 0, stamp: 's' }],
    optionsFile: null,
    refused: null,
    reservedBytes: 100,
    phase: 'moving',
    ...extra,
  };
}

/** Claims and queues a job. */
export function enqueue(queue: Queue, job: string, extra: Partial<Claim> = {}) {
  const claim = testClaim(job, extra);
  queue.claims.record(claim);
  return queue.claims.commit(
    claim,
    claim.entries.map((entry) => entry.name),
  );
}
