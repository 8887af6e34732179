import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { readPasses } from '../../../src/engine/passes.js';
import { executePipeline } from '../../../src/engine/run-stages.js';
import type { Again, Stage } from '../../../src/engine/stage.js';
import type { PipelineRequest } from '../../../src/engine/types.js';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import type { EndedPass, Pass } from '../../../src/model/pass.js';
import { noGuest, testOptions, testRequest, testStage } from './fakes.js';

const REBUILD: Pass = { reason: 'it is built again', options: { 'fix.initramfs': 'rebuild' } };
const SATA: Pass = { reason: 'other disks', options: { 'fix.devices': 'sata' } };

interface Parts {
  request: PipelineRequest & ReturnType<typeof testRequest>;
  stages: Stage[];
  /** Each stage that ran, and for `plan` the initramfs that it was to make. */
  ran: string[];
  seen: EndedPass[][];
}

/** FETCH, PLAN, FIX and VALIDATE, where VALIDATE asks for these passes, one after the other. */
function pipeline(
  asked: readonly Pass[],
  more: { again?: Partial<Again>; fix?: Partial<Stage> } = {},
): Parts {
  const ran: string[] = [];
  const seen: EndedPass[][] = [];
  const request = testRequest();
  const write = (name: string) => async () => {
    mkdirSync(join(request.workDirectory, name), { recursive: true });
    writeFileSync(join(request.workDirectory, name, 'log'), `${ran.length}`);
    return undefined;
  };
  const again: Again = {
    from: 'plan',
    enabled: () => true,
    evidence: ['boot', 'nowhere'],
    next: async (_context, outputs, ended) => {
      seen.push([...ended]);
      expect(Object.keys(outputs)).toEqual(['fetch']);
      return asked[ended.length - 1] ?? null;
    },
    ...more.again,
  };
  const stages = [
    testStage('fetch', ran),
    testStage('plan', ran, {
      dependsOn: ({ config }) => config.fix,
      act: async ({ options }) => void ran.push(options.config.fix.initramfs, options.config.fix.devices),
    }),
    testStage('fix', ran, { files: () => ['overlay'], act: write('overlay'), ...more.fix }),
    testStage('validate', ran, {
      again,
      files: () => ['boot'],
      act: write('boot'),
      dependsOn: ({ config }) => config.validate.timeout_seconds,
    }),
    testStage('after', ran),
  ];
  return { request, stages, ran, seen };
}

const execute = ({ request, stages }: Parts, changes: Partial<PipelineRequest> = {}) =>
  executePipeline({ ...request, ...changes }, { stages, openGuest: noGuest });

const FIRST = ['fetch', 'plan', 'append', 'auto', 'fix', 'validate'];

describe('another pass', () => {
  it('runs the stages again from the one named, in their order and with its options, and what follows only once', async () => {
    const parts = pipeline([REBUILD, { ...SATA, options: { ...REBUILD.options, ...SATA.options } }]);
    const result = await execute(parts);
    expect(result.error).toBeNull();
    expect(parts.ran).toEqual([
      ...FIRST,
      ...['plan', 'rebuild', 'auto', 'fix', 'validate'],
      ...['plan', 'rebuild', 'sata', 'fix', 'validate'],
      'after',
    ]);
    expect(result.records.map(({ stage, status }) => `${stage} ${status}`)).toEqual(
      ['fetch', 'plan', 'fix', 'validate', 'after'].map((stage) => `${stage} completed`),
    );
    const started = parts.request.events.filter(({ type }) => type === 'pass-started');
    expect(started).toMatchObject([
      { number: 2, pass: REBUILD },
      { number: 3, pass: { options: { 'fix.initramfs': 'rebuild', 'fix.devices': 'sata' } } },
    ]);
  });

  it('keeps what each pass left as evidence, with its output, and removes the rest before the next', async () => {
    const parts = pipeline([REBUILD], {
      fix: {
        run: async ({ workDirectory }) => {
          expect(existsSync(join(workDirectory, 'boot'))).toBe(false);
          expect(existsSync(join(workDirectory, 'overlay'))).toBe(false);
          mkdirSync(join(workDirectory, 'overlay'));
          return { by: 'fix', run: 1 };
        },
      },
    });
    await execute(parts);
    const { workDirectory } = parts.request;
    expect(readFileSync(join(workDirectory, 'attempt-1/boot/log'), 'utf8')).toBe('5');
    expect(await readPasses(workDirectory)).toMatchObject({
      ended: [
        {
          ...{ reason: null, options: {}, error: null, directory: 'attempt-1' },
          output: { by: 'validate', run: 1 },
        },
      ],
      current: REBUILD,
    });
  });

  it('is not asked for where the options rule it out, and costs nothing where none is wanted', async () => {
    const without = pipeline([REBUILD], { again: { enabled: () => false } });
    await execute(without);
    expect(without.ran).toEqual([...FIRST, 'after']);
    expect(without.seen).toEqual([]);
    const unwanted = pipeline([]);
    await execute(unwanted);
    expect(unwanted.ran).toEqual([...FIRST, 'after']);
    expect(existsSync(join(unwanted.request.workDirectory, 'passes.json'))).toBe(false);
  });

  it('hides an output that is not the last from the hooks after its stage', async () => {
    const parts = pipeline([REBUILD]);
    const file = join(parts.request.workDirectory, 'hooks');
    const hooks = [{ stage: 'validate', when: 'after', command: ['/bin/sh', '-c', `echo x >> ${file}`] }];
    await execute(parts, { options: testOptions({ pipeline: { hooks } }) });
    expect(readFileSync(file, 'utf8')).toBe('x\n');
  });
});

describe('a run that was killed', () => {
  it.each(['plan', 'fix', 'validate'])('in %s of the second pass goes on in it', async (where) => {
    const parts = pipeline([REBUILD]);
    const stage = parts.stages.find(({ name }) => name === where)!;
    const { run } = stage;
    let runs = 0;
    stage.run = async (context, input) => {
      runs += 1;
      // Cancelled like a daemon that stops: nothing of the stage is stored.
      if (runs === 2) stop.abort(new Hyper2kvmError('daemon.stopping', 'stopping'));
      return run(context, input);
    };
    const stop = new AbortController();
    expect(await execute(parts, { signal: stop.signal })).toMatchObject({ cancelled: true });
    parts.ran.length = 0;
    expect((await execute(parts)).error).toBeNull();
    const rest = ['plan', 'rebuild', 'auto', 'fix', 'validate', 'after'];
    expect(parts.ran).toEqual(rest.slice(rest.indexOf(where)));
    expect(parts.seen.at(-1)).toHaveLength(2);
  });

  it('between the decision and its record decides again, with the same answer', async () => {
    const parts = pipeline([REBUILD]);
    const { store } = parts.request;
    const { save } = store;
    let saved = 0;
    store.save = async (checkpoint) => {
      await save.call(store, checkpoint);
      saved += 1;
      if (saved === 4) throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
    };
    await expect(execute(parts)).rejects.toThrow('database is locked');
    parts.ran.length = 0;
    expect((await execute(parts)).error).toBeNull();
    expect(parts.ran).toEqual(['plan', 'rebuild', 'auto', 'fix', 'validate', 'after']);
  });

  it('between the record and the removal of the old checkpoints begins the second pass', async () => {
    const parts = pipeline([REBUILD]);
    const { store } = parts.request;
    const { truncate } = store;
    store.truncate = async () => {
      store.truncate = truncate;
      throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
    };
    await expect(execute(parts)).rejects.toThrow('database is locked');
    parts.ran.length = 0;
    expect((await execute(parts)).error).toBeNull();
    expect(parts.ran).toEqual(['plan', 'rebuild', 'auto', 'fix', 'validate', 'after']);
    expect((await readPasses(parts.request.workDirectory))?.ended).toHaveLength(1);
  });

  it('and is retried with other options begins anew, without the old attempts', async () => {
    const parts = pipeline([REBUILD]);
    await execute(parts);
    parts.ran.length = 0;
    await execute(parts, { options: testOptions({ fix: { devices: 'ide' } }) });
    expect(parts.ran.slice(0, 4)).toEqual(['plan', 'append', 'ide', 'fix']);
    const without = pipeline([]);
    await execute({
      ...without,
      request: { ...parts.request, options: testOptions({ fix: { nofail: ['/x'] } }) },
    });
    expect(existsSync(join(parts.request.workDirectory, 'attempt-1'))).toBe(false);
    expect(await readPasses(parts.request.workDirectory)).toBeNull();
  });

  it('and is retried with another boot test begins with the first plan', async () => {
    const parts = pipeline([REBUILD]);
    await execute(parts);
    parts.ran.length = 0;
    await execute(parts, { options: testOptions({ validate: { timeout_seconds: 1800 } }) });
    expect(parts.ran.slice(0, 4)).toEqual(['plan', 'append', 'auto', 'fix']);
  });

  it('leaves no attempt that nobody knows of', async () => {
    const parts = pipeline([]);
    const { workDirectory } = parts.request;
    for (const name of ['attempt-1', 'attempt-2.part']) mkdirSync(join(workDirectory, name));
    writeFileSync(join(workDirectory, 'passes.json'), '{"base":"of another version"}');
    await execute(parts);
    for (const name of ['attempt-1', 'attempt-2.part', 'passes.json'])
      expect(existsSync(join(workDirectory, name))).toBe(false);
  });
});

describe('a stage that fails in a later pass', () => {
  const failing = (code: 'fix.unproven' | 'host.enospc') => {
    let runs = 0;
    return {
      run: async () => {
        runs += 1;
        if (runs === 2) throw new Hyper2kvmError(code, 'the tool failed');
        return { by: 'fix', run: runs };
      },
      files: () => [],
    };
  };

  it('ends that pass, and the next one is asked for', async () => {
    const parts = pipeline([REBUILD, SATA], { fix: failing('fix.unproven') });
    const result = await execute(parts);
    expect(result.error).toBeNull();
    expect(parts.seen[1]?.at(-1)).toMatchObject({
      ...REBUILD,
      output: null,
      error: { code: 'fix.unproven' },
    });
    expect(parts.ran.slice(-5)).toEqual(['plan', 'append', 'sata', 'validate', 'after']);
  });

  it('fails the job with what the first pass failed with, if there is no other', async () => {
    const parts = pipeline([REBUILD], { fix: failing('fix.unproven') });
    const validate = parts.stages[3]!;
    validate.output = z.object({ by: z.string(), run: z.int() });
    validate.accept = () => new Hyper2kvmError('validate.initramfs-shell', 'it did not boot');
    const result = await execute(parts);
    expect(result).toMatchObject({
      failedStage: 'validate',
      error: {
        code: 'validate.initramfs-shell',
        causes: ['then tried: it is built again: fix.unproven: the tool failed'],
      },
    });
  });

  it('fails the job where the host is the cause', async () => {
    const parts = pipeline([REBUILD, SATA], { fix: failing('host.enospc') });
    expect(await execute(parts)).toMatchObject({ failedStage: 'fix', error: { code: 'host.enospc' } });
    expect(parts.seen).toHaveLength(1);
  });
});
