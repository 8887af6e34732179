import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { sha256File } from '../../src/files/digest.js';
import { STAGE_NAMES, type StageName } from '../../src/model/stage-names.js';
import { processesNaming, Spool } from '../integration/support/daemon.js';
import { formOf } from '../lab/forms.ts';
import { buildGuest } from '../lab/guest.ts';
import { RECIPES } from '../lab/recipes.ts';
import { expectDelivered } from './delivered.js';

const GONE_SECONDS = 20;
/**
 * Stages that take seconds are killed from outside at work; the others die at a failpoint before their
 * checkpoint.
 */
const LONG: readonly StageName[] = ['inspect', 'fix', 'convert', 'validate'];

describe('kill -9 of the daemon', () => {
  let spool: Spool;
  afterAll(async () => spool?.destroy());

  it('in each of the seven stages: the job resumes after its last checkpoint and finishes, with no orphan and no scratch', async () => {
    spool = await Spool.create();
    const guest = await buildGuest(RECIPES['bookworm-bios']);
    const disk = await formOf(guest.image, 'monolithicSparse', spool.directory);
    const source = await sha256File(disk);
    await spool.drop(disk, 'victim.vmdk');

    let survivors: string[] = [];
    for (const [index, stage] of STAGE_NAMES.entries()) {
      const logged = spool.log.length;
      if (LONG.includes(stage)) {
        await spool.start();
        await spool.waitForJob((job) => job.stage === stage && job.state === 'running', 240);
        await spool.kill();
      } else {
        await spool.start({ HYPER2KVM_FAILPOINT: `stage.${stage}.before-checkpoint` }, { expectDeath: true });
        await spool.died(240);
      }
      // A program between its fork and its prctl(2) survives its daemon: the next one ends it, then resumes.
      const left = await processesLeft(spool.directory);
      expect(left.filter((program) => survivors.includes(program))).toEqual([]);
      survivors = left;
      const since = spool.log.slice(logged);
      for (const earlier of STAGE_NAMES.slice(0, Math.max(0, index - 1))) {
        expect(startedStages(since)).not.toContain(earlier);
      }
    }

    const logged = spool.log.length;
    await spool.start();
    const job = await spool.waitForJob((candidate) => candidate.state === 'converted', 300);
    const running = await processesNaming(spool.directory);
    expect(running.filter((program) => survivors.includes(program))).toEqual([]);
    expect(startedStages(spool.log.slice(logged))).toEqual(['validate']);
    expect(await spool.results('archive')).toEqual([job.directory]);
    expect(await readdir(spool.path('work'))).toEqual([]);
    expect(await readdir(spool.path('incoming'))).toEqual([]);
    await expectDelivered(spool, job, {
      recipe: guest.recipe,
      drop: 'victim.vmdk',
      source,
      mounts: ['/boot', '/', '/srv'],
    });
  });
});

/** Returns the programs of a daemon that was killed which are still there after some seconds. */
async function processesLeft(directory: string): Promise<string[]> {
  const end = performance.now() + GONE_SECONDS * 1000;
  for (;;) {
    const left = await processesNaming(directory);
    if (left.length === 0 || performance.now() > end) return left;
    await sleep(200);
  }
}

function startedStages(log: string): string[] {
  return log
    .split('\n')
    .filter((line) => line.includes('stage started'))
    .map((line) => line.match(/"stage":"(\w+)"/)?.[1] ?? '');
}
