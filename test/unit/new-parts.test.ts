import { readFile, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryWriter } from './access/memory-writer.js';
import { noGuest, testOptions, testRequest } from './engine/fakes.js';
import { DISTRIBUTIONS } from './families/distributions.js';
import { guestOf } from './families/guests.js';
import { type NewPart, type Product, productWith } from './product-with.js';
import {
  FINISHED,
  STARTED,
  sampleOptions,
  sampleOutputs,
  samplePlan,
  sampleRecords,
} from './report/sample.js';

const APPEND_LINE: NewPart = {
  file: 'operations/append-line.ts',
  lines: [
    {
      in: 'operations/registry.ts',
      after: 'export const KINDS = [',
      add: '\n  appendLine,',
      imports: { name: 'appendLine', from: './append-line.js' },
    },
  ],
  text: `
import { z } from 'zod';
import { causeFields, type OperationKind } from './operation.js';
import { putEntry, ROOT_OWNED } from './tree.js';

const schema = z.object({ op: z.literal('append_line'), ...causeFields, path: z.string(), line: z.string() });
export type AppendLine = z.infer<typeof schema>;

export const appendLine: OperationKind<AppendLine> = {
  op: 'append_line',
  whileRunning: true,
  schema,
  subject: ({ path }) => path,
  title: ({ path, line }) => ({ verb: 'append', object: \`\${line} to \${path}\` }),
  diff: ({ path, line }) => ({ text: { path, before: '', after: line + '\\n' }, remarks: ['a line more'] }),
  applyTo({ tree }, { path, line }) {
    const old = tree.get(path) ?? { path, type: 'file' as const, mode: 0o644, ...ROOT_OWNED };
    const content = Buffer.from((tree.text(path)?.text ?? '') + line + '\\n');
    putEntry(tree, { ...old, content, size: content.length });
  },
  async execute(guest, { path, line }) {
    await guest.rewrite(path, Buffer.concat([await guest.read(path), Buffer.from(line + '\\n')]));
    return [\`\${path} has a line more\`];
  },
};
`,
};

const MOTD: NewPart = {
  file: 'families/linux/motd.ts',
  lines: [
    {
      in: 'families/linux/fixers.ts',
      after: 'export const FIXERS: readonly Fixer[] = [',
      add: '\n  motd,',
      imports: { name: 'motd', from: './motd.js' },
    },
  ],
  text: `
import { unproven } from '../../operations/prove-outcomes.js';
import type { Fixer } from '../base/fixer.js';

const PATH = '/etc/motd';

export const motd: Fixer = {
  name: 'motd',
  whileRunning: true,
  description: 'The message of the day says that the machine has moved.',
  plan({ tree }) {
    if (tree.text(PATH)?.text.includes('moved')) return { operations: [], warnings: [] };
    const reason = 'people should know';
    return { operations: [{ op: 'append_line', fixer: 'motd', reason, path: PATH, line: 'moved' }], warnings: [] };
  },
  proof: {
    paths: () => [PATH],
    check({ read }) {
      if (!read(PATH)?.includes('moved')) throw unproven(PATH, 'it does not say so');
      return ['the message of the day is right'];
    },
  },
};
`,
};

/** Between CONVERT and VALIDATE. */
const MEASURE: NewPart = {
  file: 'stages/measure/index.ts',
  lines: [
    { in: 'model/stage-names.ts', after: "'convert', ", add: "'measure', " },
    {
      in: 'stages/registry.ts',
      after: 'Record<StageName, Stage>> = {',
      add: '\n  measure: erased(measureStage),',
      imports: { name: 'measureStage', from: './measure/index.js' },
    },
  ],
  text: `
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Stage } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { convertOutput } from '../convert/output.js';

const LIMIT = 1 << 20;
const NOTE = 'measured';
const input = z.object({ convert: convertOutput });
const output = z.object({ bytes: z.int() });

export const measureStage: Stage<z.infer<typeof input>, z.infer<typeof output>> = {
  name: 'measure',
  version: 1,
  input,
  output,
  dependsOn: () => null,
  check({ config }) {
    if (config.convert.format === 'vdi')
      throw new Hyper2kvmError('convert.unsupported-option', 'a VDI is not measured');
  },
  async run({ workDirectory }, { convert }) {
    await writeFile(join(workDirectory, NOTE), 'x', { flag: 'a' });
    return { bytes: convert.disks.reduce((sum, disk) => sum + disk.virtual_size, 0) };
  },
  accept({ bytes }, { config }) {
    if (bytes <= LIMIT || !config.validate.required) return null;
    return new Hyper2kvmError('convert.wrong-size', 'the disk is larger than a mebibyte');
  },
  files: () => [NOTE],
  async cleanup({ workDirectory }) {
    await rm(join(workDirectory, NOTE), { force: true });
  },
};
`,
};

let product: Product;
beforeAll(async () => {
  product = await productWith([APPEND_LINE, MOTD, MEASURE]);
}, 180_000);
afterAll(() => product.remove());

describe('an operation and a fixer, each from one new file and a line in its registry', () => {
  const recipe = DISTRIBUTIONS['Debian 12, BIOS, ifupdown'] ?? {};
  const files = { ...recipe.files, '/etc/motd': 'hello\n' };
  const guest = guestOf({ ...recipe, files });

  async function plan() {
    const { planGuest } = await product.load<typeof import('../../src/families/plan.js')>('families/plan');
    const all = planGuest(guest);
    return { ...all, operations: all.operations.filter(({ fixer }) => fixer === 'motd') };
  }

  it('are planned, and read from plan.json', async () => {
    const { planSchema } =
      await product.load<typeof import('../../src/operations/plan.js')>('operations/plan');
    const planned = await plan();
    expect(planned.operations).toEqual([
      { op: 'append_line', fixer: 'motd', reason: 'people should know', path: '/etc/motd', line: 'moved' },
    ]);
    expect(planSchema.parse(JSON.parse(JSON.stringify(planned)))).toEqual(planned);
  });

  it('are seen by the fixers that follow: a second plan has nothing to do', async () => {
    const { applyOperations } = await product.load<typeof import('../../src/operations/apply-operations.js')>(
      'operations/apply-operations',
    );
    const { planGuest } = await product.load<typeof import('../../src/families/plan.js')>('families/plan');
    const after = applyOperations(guest, planGuest(guest).operations);
    expect(after.tree.text('/etc/motd')?.text).toBe('hello\nmoved\n');
    expect(planGuest(after).operations).toEqual([]);
  });

  it('are in plan.diff', async () => {
    const { planDiff } =
      await product.load<typeof import('../../src/stages/plan/plan-diff.js')>('stages/plan/plan-diff');
    const head = '# motd: people should know\n# a line more\n';
    expect(planDiff(await plan())).toBe(`${head}--- a/etc/motd\n+++ b/etc/motd\n@@ -0,0 +1,1 @@\n+moved\n`);
  });

  it('are executed and proven', async () => {
    const { executeOperations } = await product.load<
      typeof import('../../src/operations/execute-operations.js')
    >('operations/execute-operations');
    const { proofPaths, proveFixers } =
      await product.load<typeof import('../../src/families/prove.js')>('families/prove');
    const { linux } =
      await product.load<typeof import('../../src/families/linux/family.js')>('families/linux/family');
    const target = memoryWriter({ '/etc/motd': 'hello\n' });
    const prove = () =>
      proveFixers(linux, {
        before: guestOf({ files: {} }).tree,
        after: guestOf({ files: {} }),
        read: (path) => target.files.get(path) ?? null,
      });
    expect(proofPaths(linux, guest)).toContain('/etc/motd');
    expect(prove).toThrow(expect.objectContaining({ code: 'fix.unproven' }));
    const { operations } = await plan();
    const { signal } = new AbortController();
    expect(await executeOperations(target, operations, { signal, listings: {} })).toEqual([
      '/etc/motd has a line more',
    ]);
    expect(target.files.get('/etc/motd')?.toString()).toBe('hello\nmoved\n');
    expect(prove()).toEqual(['the message of the day is right']);
  });

  it('are in the report, on the terminal and in docs/changes.md', async () => {
    const { buildReport, readOutputs } =
      await product.load<typeof import('../../src/report/report.js')>('report/report');
    const { reportHtml } = await product.load<typeof import('../../src/report/html.js')>('report/html');
    const { planText } = await product.load<typeof import('../../src/commands/plan.js')>('commands/plan');
    const { changesSection } =
      await product.load<typeof import('../../src/handbook/docs.js')>('handbook/docs');
    const planned = { ...samplePlan, operations: (await plan()).operations };
    const report = buildReport({
      ...{ job: 'k3x9', vm: 'web01', options: sampleOptions(), records: sampleRecords() },
      outputs: readOutputs({ ...sampleOutputs(), plan: { plan: planned } }),
      ...{ startedAt: STARTED, finishedAt: FINISHED, diskNames: ['web01-disk0.qcow2'], source: [] },
      start: null,
      versions: { hyper2kvm: '0.1.0', qemu: null, libguestfs: null },
      failure: null,
      attempts: null,
    });
    const html = reportHtml(report, { screens: [], serialTail: '' });
    expect(html).toContain('moved to /etc/motd');
    expect(html).toContain('<span class="add">+moved</span>');
    expect(planText({ paint: (_, text) => text }, planned)).toContain('append moved to /etc/motd\n');
    expect(changesSection()).toContain('### motd\n\nThe message of the day');
  });
});

describe('a stage from one new file, with its name and a line in its registry', () => {
  const dataJob = (config: Record<string, unknown>) => testRequest({ options: testOptions(config, 'data') });

  /** All stages on a disk of zeros with `bytes`. */
  async function convert(request: ReturnType<typeof testRequest>, bytes: number) {
    const { executePipeline } =
      await product.load<typeof import('../../src/engine/run-stages.js')>('engine/run-stages');
    const { STAGES } = await product.load<typeof import('../../src/stages/registry.js')>('stages/registry');
    const disk = join(request.source.directory, 'disk.raw');
    if ((await stat(disk)).size !== bytes) await truncate(disk, bytes);
    return executePipeline(request, { stages: STAGES, openGuest: noGuest });
  }
  const statuses = ({ records }: Awaited<ReturnType<typeof convert>>) =>
    records.map(({ stage, status }) => `${stage} ${status}`).slice(-3);

  it('runs at its place, with what the stages before it gave', async () => {
    const result = await convert(dataJob({}), 1 << 20);
    expect(result.error).toBeNull();
    expect(statuses(result)).toEqual(['convert completed', 'measure completed', 'validate completed']);
    expect(result.outputs.measure).toEqual({ bytes: 1 << 20 });
  });

  it('refuses options before anything runs', async () => {
    const result = await convert(dataJob({ convert: { format: 'vdi' } }), 1 << 20);
    expect(result).toMatchObject({
      failedStage: 'measure',
      error: { code: 'convert.unsupported-option' },
      outputs: {},
    });
  });

  it('does not accept an output, and accepts the same one under other options without a second run', async () => {
    const request = dataJob({});
    const refused = await convert(request, 2 << 20);
    expect(refused).toMatchObject({ failedStage: 'measure', error: { code: 'convert.wrong-size' } });
    expect((await request.store.load()).map(({ stage }) => stage)).toContain('measure');
    const options = testOptions({ validate: { required: false } }, 'data');
    const accepted = await convert({ ...request, options }, 2 << 20);
    expect(accepted.error).toBeNull();
    expect(statuses(accepted)).toEqual(['convert reused', 'measure reused', 'validate completed']);
    expect(await readFile(join(request.workDirectory, 'measured'), 'utf8')).toBe('x');
  });

  it('is known to the configuration and to the failpoints', async () => {
    const { configSchema } = await product.load<typeof import('../../src/config/schema.js')>('config/schema');
    const { FAILPOINTS } = await product.load<typeof import('../../src/host/failpoint.js')>('host/failpoint');
    const hooks = [{ stage: 'measure', when: 'after', command: ['/bin/true'] }];
    expect(configSchema.parse({ pipeline: { hooks } }).pipeline.hooks).toMatchObject(hooks);
    expect(FAILPOINTS).toContain('stage.measure.before-checkpoint');
  });
});
