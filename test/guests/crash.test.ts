import { readdir } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { sha256File } from '../../src/files/digest.js';
import { STAGE_NAMES, type StageName } from '../../src/model/stage-names.js';
import { processesNaming, Spool, until } from '../integration/support/daemon.js';
import { formOf } from '../lab/forms.ts';
import { buildGuest } from '../lab/guest.ts';
import { RECIPES } from '../lab/recipes.ts';
import { expectDelivered } from './delivered.js';

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
      await until(
        'orphans to go',
        20,
        async () => (await processesNaming(spool.directory)).length === 0,
        () => 'orphans',
      );
      const since = spool.log.slice(logged);
      for (const earlier of STAGE_NAMES.slice(0, Math.max(0, index - 1))) {
        expect(startedStages(since)).not.toContain(earlier);
      }
    }

    const logged = spool.log.length;
    await spool.start();
    const job = await spool.waitForJob((candidate) => candidate.state === 'converted', 300);
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

function startedStages(log: string): string[] {
  return log
    .split('\n')
    .filter((line) => line.includes('stage started'))
    .map((line) => line.match(/"stage":"(\w+)"/)?.[1] ?? '');
}
