import { randomBytes } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readJson, Spool } from './support/daemon.js';

/**
 * What operators add: a hook that refuses until it is content, and a stage of their own, in the real daemon.
 */
let spool: Spool;
beforeAll(async () => {
  spool = await Spool.create();
  const config = await readFile(spool.path('config.toml'), 'utf8');
  await writeFile(
    spool.path('config.toml'),
    `${config}
[[pipeline.extra]]
after = "flatten"
module = ${JSON.stringify(spool.path('policy.mjs'))}
[[pipeline.hooks]]
stage = "convert"
when = "before"
command = [${JSON.stringify(spool.path('approve'))}, ${JSON.stringify(spool.path('approved'))}]
`,
  );
  await writeFile(
    spool.path('policy.mjs'),
    `export default { name: 'policy', version: 1, run: (_context, input) => ({ disks: input.flatten.disks.length }) };\n`,
  );
  await writeFile(
    spool.path('approve'),
    '#!/bin/sh\n[ -e "$1" ] || { echo "nobody approved it" >&2; exit 3; }\ncat > "$1"\n',
  );
  await chmod(spool.path('approve'), 0o755);
  await spool.start();
});
afterAll(() => spool.destroy());

test('a hook that fails sets the VM aside; after `retry` its stage goes on, with the operator’s own stage before it', async () => {
  await writeFile(spool.path('incoming', 'db01.job.toml'), 'kind = "data"\n');
  await writeFile(spool.path('db01.raw'), randomBytes(1024 * 1024));
  await spool.drop(spool.path('db01.raw'));
  const failed = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
  expect(failed.error).toMatchObject({
    code: 'hook.failed',
    message: expect.stringContaining('nobody approved it'),
  });
  expect(await readJson(join(failed.directory as string, 'reason.json'))).toMatchObject({
    code: 'hook.failed',
    stage: 'convert',
  });

  await writeFile(spool.path('approved'), '');
  await spool.post(`/v1/jobs/${failed.job}/retry`);
  const done = await spool.waitForJob(({ state }) => state === 'converted', 60, { mayFail: true });
  const report = await readJson<{ stages: { stage: string; status: string }[] }>(
    join(done.directory as string, 'report.json'),
  );
  expect(report.stages.map(({ stage, status }) => `${stage} ${status}`)).toEqual([
    'fetch reused',
    'flatten reused',
    'policy reused',
    'inspect skipped',
    'plan skipped',
    'fix skipped',
    'convert completed',
    'validate completed',
  ]);
  expect((await spool.job(done.job)).checkpoint).toMatchObject({
    completed_stages: expect.arrayContaining(['flatten', 'policy']),
    resume_from: null,
  });
  expect(JSON.parse(await readFile(spool.path('approved'), 'utf8'))).toMatchObject({
    when: 'before',
    stage: 'convert',
    job: done.job,
    vm: 'db01',
    kind: 'data',
    outputs: { policy: { disks: 1 } },
  });
});
