import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { executePipeline } from '../../../src/engine/run-stages.js';
import { testOptions, testRequest, testStage } from './fakes.js';

const openGuest = async () => {
  throw new Error('no guest in this test');
};

function requestWith(hooks: Record<string, unknown>[]) {
  const request = testRequest({ options: testOptions({ pipeline: { hooks } }) });
  return { request };
}

const hook = (stage: string, when: string, script: string, more: Record<string, unknown> = {}) => ({
  stage,
  when,
  command: ['/bin/sh', '-c', script],
  ...more,
});

describe('hooks', () => {
  it('run around their stage, in order, with the job on stdin', async () => {
    const { request } = requestWith([
      hook('plan', 'before', 'cat > before.json'),
      hook('plan', 'after', 'cat > after.json'),
      hook('plan', 'after', 'test -e after.json && echo second >> order'),
    ]);
    const ran: string[] = [];
    const stages = [testStage('inspect', ran), testStage('plan', ran), testStage('fix', ran)];
    const result = await executePipeline(request, { stages, openGuest });
    expect(result.error).toBeNull();
    const read = (name: string) =>
      JSON.parse(readFileSync(join(request.workDirectory, name), 'utf8')) as Record<string, unknown>;
    const common = {
      stage: 'plan',
      job: 'j1',
      vm: 'web01',
      kind: 'vm',
      work_directory: request.workDirectory,
      source: request.source,
      outputs: { inspect: { by: 'inspect', run: 1 } },
    };
    expect(read('before.json')).toEqual({ ...common, when: 'before' });
    expect(read('after.json')).toEqual({ ...common, when: 'after', output: { by: 'plan', run: 1 } });
    expect(readFileSync(join(request.workDirectory, 'order'), 'utf8')).toBe('second\n');
  });

  it('fail the stage with their own code and the tail of their stderr; the stage did not run', async () => {
    const { request } = requestWith([hook('plan', 'before', 'echo scanner says no >&2; exit 7')]);
    const ran: string[] = [];
    const stages = [testStage('inspect', ran), testStage('plan', ran)];
    const result = await executePipeline(request, { stages, openGuest });
    expect(ran).toEqual(['inspect']);
    expect(result.failedStage).toBe('plan');
    expect(result.error).toMatchObject({
      code: 'hook.failed',
      message: expect.stringMatching(/before PLAN.*code 7: scanner says no/),
    });
  });

  it.each([
    ['hook.timeout', hook('plan', 'after', 'sleep 60', { timeout_seconds: 1 })],
    ['hook.failed', { stage: 'plan', when: 'after', command: ['/nonexistent/hook'] }],
  ])('%s', async (code, entry) => {
    const { request } = requestWith([entry]);
    const stages = [testStage('plan', [])];
    const { error, records } = await executePipeline(request, { stages, openGuest });
    expect(error).toMatchObject({ code });
    expect(records[0]?.attempts).toBe(1);
  });

  it('die with a cancelled job', async () => {
    const abort = new AbortController();
    const { request } = requestWith([hook('plan', 'before', 'touch started; sleep 60; touch survived')]);
    const started = performance.now();
    setTimeout(() => abort.abort(), 300);
    const stages = [testStage('plan', [])];
    const result = await executePipeline({ ...request, signal: abort.signal }, { stages, openGuest });
    expect(result.cancelled).toBe(true);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('let the checkpoint fall when they change, and run again with their stage only', async () => {
    const ran: string[] = [];
    const stages = [testStage('inspect', ran), testStage('plan', ran), testStage('fix', ran)];
    const { request } = requestWith([hook('plan', 'before', 'echo x >> count')]);
    await executePipeline(request, { stages, openGuest });
    await executePipeline(request, { stages, openGuest });
    expect(ran).toEqual(['inspect', 'plan', 'fix']);
    expect(readFileSync(join(request.workDirectory, 'count'), 'utf8')).toBe('x\n');
    writeFileSync(join(request.workDirectory, 'count'), '');
    const options = testOptions({ pipeline: { hooks: [hook('plan', 'before', 'echo y >> count')] } });
    await executePipeline({ ...request, options }, { stages, openGuest });
    expect(ran).toEqual(['inspect', 'plan', 'fix', 'plan', 'fix']);
    expect(readFileSync(join(request.workDirectory, 'count'), 'utf8')).toBe('y\n');
  });
});
