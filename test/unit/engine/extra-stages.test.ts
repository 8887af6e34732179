import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadExtraStages, withExtraStages } from '../../../src/engine/extra-stages.js';
import { executePipeline } from '../../../src/engine/run-stages.js';
import { testRequest, testStage } from './fakes.js';

const openGuest = async () => {
  throw new Error('no guest in this test');
};

/** Writes a module and gives its path; each has its own name, since Node keeps what it imported. */
function moduleOf(directory: string, name: string, text: string): string {
  const path = join(directory, `${name}.mjs`);
  writeFileSync(path, text);
  return path;
}

describe('a stage of [[pipeline.extra]]', () => {
  it('runs behind the stage that it names, sees the outputs before it, and is a checkpoint', async () => {
    const request = testRequest();
    const module = moduleOf(
      request.workDirectory,
      'scan',
      `let runs = 0;
       export default { name: 'scan', version: 1, async run(context, input) {
         runs += 1;
         context.progress({ percent: 50 });
         return { vm: context.job.vm, saw: Object.keys(input), runs };
       } };`,
    );
    const ran: string[] = [];
    const own = ['inspect', 'plan', 'fix'].map((name) => testStage(name, ran));
    const stages = withExtraStages(own, await loadExtraStages([{ after: 'inspect', module }]));
    const result = await executePipeline(request, { stages, openGuest });
    expect(result.records.map(({ stage, status }) => [stage, status])).toEqual([
      ['inspect', 'completed'],
      ['scan', 'completed'],
      ['plan', 'completed'],
      ['fix', 'completed'],
    ]);
    expect(result.outputs.scan).toEqual({ vm: 'web01', saw: ['inspect'], runs: 1 });
    const again = await executePipeline(request, { stages, openGuest });
    expect(again.outputs.scan).toEqual({ vm: 'web01', saw: ['inspect'], runs: 1 });
  });

  it('keeps its own code; without one it is extra.failed; a result that is not JSON is extra.output', async () => {
    const request = testRequest();
    const run = async (name: string, body: string) => {
      const module = moduleOf(
        request.workDirectory,
        name,
        `export default { name: '${name}', version: 1, run() { ${body} } };`,
      );
      const stages = await loadExtraStages([{ after: 'fetch', module }]);
      const { error } = await executePipeline(testRequest(), {
        stages: stages.map(({ stage }) => stage),
        openGuest,
      });
      return error;
    };
    expect(
      await run(
        'coded',
        "throw Object.assign(new Error('found'), { code: 'virus.found', advice: 'Clean it.' });",
      ),
    ).toMatchObject({ code: 'virus.found', message: 'found', advice: 'Clean it.', retryable: false });
    expect(await run('plain', "throw new Error('oh');")).toMatchObject({ code: 'extra.failed' });
    expect(await run('result', 'return { when: 1n };')).toMatchObject({ code: 'extra.output' });
  });

  it.each([
    ['missing', null, /Cannot find module/],
    ['broken', 'export default {', /is not a stage/],
    ['empty', 'export const name = 1;', /default/],
    ['taken', "export default { name: 'fix', version: 1, run() {} };", /own/],
    ['bare', "export default { name: 'bare', version: 1 };", /run/],
  ])('is refused by name: %s', async (name, text, why) => {
    const { workDirectory } = testRequest();
    const module = text === null ? join(workDirectory, 'no.mjs') : moduleOf(workDirectory, name, text);
    const error = await loadExtraStages([{ after: 'fetch', module }]).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'config.extra-stage', message: expect.stringMatching(why) });
    expect((error as Error).message).toContain(module);
  });

  it('must have a name of its own', async () => {
    const { workDirectory } = testRequest();
    const text = "export default { name: 'same', version: 1, run() {} };";
    const [first, second] = ['a', 'b'].map((name) => moduleOf(workDirectory, name, text)) as [string, string];
    const extra = [first, second].map((module) => ({ after: 'fetch' as const, module }));
    await expect(loadExtraStages(extra)).rejects.toMatchObject({ code: 'config.extra-stage' });
  });
});
