import { readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { run } from '../../src/tools/run.js';
import { readJson, Spool } from './support/daemon.js';

const DATA = 'kind = "data"\n';
const MIB = 1024 * 1024;

let spool: Spool;
afterEach(() => spool?.destroy());

async function drop(name: string, bytes: number): Promise<void> {
  writeFileSync(spool.path(name), Buffer.alloc(MIB, name));
  truncateSync(spool.path(name), bytes);
  writeFileSync(spool.path('incoming', name.replace('.raw', '.job.toml')), DATA);
  await spool.drop(spool.path(name));
}

/** Everything is where it belongs, once: no scratch, no second result, the source whole. */
async function expectOneResult(kind: 'archive' | 'failed', name: string): Promise<string> {
  const state = kind === 'archive' ? 'converted' : 'failed';
  await spool.waitForJob((job) => job.state === state, 60, { mayFail: true });
  const [result, ...others] = [...(await spool.results('archive')), ...(await spool.results('failed'))];
  expect(others).toEqual([]);
  expect(result).toContain(`/${kind}/`);
  expect(readdirSync(spool.path('work'))).toEqual([]);
  expect(readdirSync(spool.path('incoming'))).toEqual([]);
  expect((await spool.jobs()).length).toBe(1);
  await run('cmp', [spool.path(name), join(result!, 'source', name)]);
  return result!;
}

/** Of a data disk: a domain would mean that its job.toml was lost on the way. */
const BUNDLE = ['SHA256SUMS', 'disk-disk0.qcow2', 'job.log', 'report.html', 'report.json', 'source'];
const CLAIM = ['claim.recorded', 'claim.moved-first', 'claim.moved'];
const STAGES = ['fetch', 'flatten', 'convert'].flatMap((stage) =>
  (stage === 'convert' ? ['running', 'before-checkpoint', 'after-checkpoint'] : ['before-checkpoint']).map(
    (edge) => `stage.${stage}.${edge}`,
  ),
);
const FINISH = ['finish.before-publish', 'finish.before-commit', 'finish.before-removal'];

describe('a daemon that is killed at', () => {
  it.each([...CLAIM, ...STAGES, ...FINISH])(
    '%s archives the drop once and whole after its next start',
    async (failpoint) => {
      spool = await Spool.create();
      await drop('disk.raw', 4 * MIB);
      await spool.start({ HYPER2KVM_FAILPOINT: failpoint }, { expectDeath: true });
      await spool.died(60);
      await spool.start();
      const bundle = await expectOneResult('archive', 'disk.raw');
      expect(readdirSync(bundle).sort()).toEqual(BUNDLE);
      await run('sha256sum', ['--quiet', '-c', 'SHA256SUMS'], { cwd: bundle });
      await run('qemu-img', [
        'compare',
        '-f',
        'qcow2',
        '-F',
        'raw',
        join(bundle, 'disk-disk0.qcow2'),
        spool.path('disk.raw'),
      ]);
    },
  );

  it.each(FINISH)('%s sets a failed drop aside once, with its reason', async (failpoint) => {
    spool = await Spool.create();
    await drop('disk.raw', 4 * MIB + 1);
    await spool.start({ HYPER2KVM_FAILPOINT: failpoint }, { expectDeath: true });
    await spool.died(60);
    await spool.start();
    const directory = await expectOneResult('failed', 'disk.raw');
    expect((await readJson<{ code: string }>(join(directory, 'reason.json'))).code).toMatch(/^fetch\./);
  });
});

describe('a job at whose work the daemon dies again and again', () => {
  it('is set aside after three times, with its source', async () => {
    spool = await Spool.create();
    await drop('disk.raw', 4 * MIB);
    for (let death = 0; death < 3; death++) {
      await spool.start({ HYPER2KVM_FAILPOINT: 'stage.convert.running' }, { expectDeath: true });
      await spool.died(60);
    }
    await spool.start({ HYPER2KVM_FAILPOINT: 'stage.convert.running' });
    const failed = await expectOneResult('failed', 'disk.raw');
    expect(await readJson(join(failed, 'reason.json'))).toMatchObject({ code: 'job.crash-loop' });
  });
});
