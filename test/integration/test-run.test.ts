import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'h2k-testrun-'));
  mkdirSync(join(project, 'test'));
  symlinkSync(join(REPOSITORY, 'node_modules'), join(project, 'node_modules'));
  writeFileSync(join(project, 'package.json'), '{"type":"module"}');
  writeFileSync(
    join(project, 'test/vitest.config.ts'),
    `export default { root: ${JSON.stringify(project)}, test: { include: ['test/*.test.ts'] } };`,
  );
});
afterEach(() => rmSync(project, { recursive: true }));

const HEAD = `import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
const die = () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); };
const dieOnce = (name) => { if (existsSync(name)) return; writeFileSync(name, ''); return die(); };
`;

/** Its last line and exit code, as `.ci/run` sees them, and all that it said. */
function runTests(files: Record<string, string>) {
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(project, 'test', `${name}.test.ts`), HEAD + text);
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(REPOSITORY, 'test/lab/test-run.ts')], {
    cwd: project,
    encoding: 'utf8',
    env: { ...process.env, VITEST: undefined, VITEST_POOL_ID: undefined, VITEST_WORKER_ID: undefined },
  });
  return { last: stdout.trimEnd().split('\n').at(-1), status, said: stderr };
}

const GOOD = "it('a', () => {}); it('b', () => {});";
const DIES_ONCE = `it('before', () => {});
it('dies', async () => { const left = mkdtempSync(join(tmpdir(), 'left-')); await new Promise((done) => setTimeout(done, 500)); await dieOnce('died'); rmSync(left, { recursive: true }); });
it('behind', () => {});`;

it('counts what passed, and nothing is a failure', () => {
  expect(runTests({ good: GOOD })).toMatchObject({ last: '2 passed, 0 failed', status: 0 });
  rmSync(join(project, 'test/good.test.ts'));
  expect(runTests({})).toMatchObject({ last: '0 passed, 1 failed', status: 1 });
});

it('runs a file once more whose worker died, whatever that left behind, and says so', () => {
  const { last, status, said } = runTests({ good: GOOD, dies: DIES_ONCE });
  expect({ last, status }).toEqual({ last: '5 passed, 0 failed', status: 0 });
  expect(said).toContain(
    'the worker of test/dies.test.ts died before the test "dies" had a result; running the file once more',
  );
});

it('runs a file once more whose worker died before it was loaded', () => {
  const { last, status } = runTests({ good: GOOD, dies: `await dieOnce('died');${GOOD}` });
  expect({ last, status }).toEqual({ last: '4 passed, 0 failed', status: 0 });
});

it('runs a file in which a test failed once more, and says what passed then', () => {
  const flaky =
    "it('a', () => {}); it('b', () => { const was = existsSync('b'); writeFileSync('b', ''); expect(was).toBe(true); });";
  const { last, status, said } = runTests({ good: GOOD, flaky });
  expect({ last, status }).toEqual({ last: '4 passed, 0 failed', status: 0 });
  expect(said).toContain('test/flaky.test.ts failed beside other files (b); running it once more, alone');
  expect(said).toContain('test/flaky.test.ts failed beside other files, and passed alone');
});

it('runs none of more than three files again', () => {
  const flaky = (name: string) =>
    `it('a', () => { const was = existsSync('${name}'); writeFileSync('${name}', ''); expect(was).toBe(true); });`;
  const files = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, flaky(name)]));
  expect(runTests({ good: GOOD, ...files })).toMatchObject({ last: '2 passed, 4 failed', status: 1 });
});

it('a worker that died hides no failure of a test, a hook, a rejection or a file that cannot be loaded', () => {
  const { last, status, said } = runTests({
    good: GOOD,
    dies: DIES_ONCE,
    test: "it('fails', () => { expect(1).toBe(2); });",
    before: "describe('g', () => { beforeAll(() => { throw new Error('x'); }); it('a', () => {}); });",
    behind: "describe('g', () => { afterAll(() => { throw new Error('x'); }); it('a', () => {}); });",
    rejection: "it('a', () => { void Promise.reject(new Error('x')); });",
    unloadable: "throw new Error('x');",
  });
  expect({ last, status }).toEqual({ last: '7 passed, 5 failed', status: 1 });
  expect(said).toContain('the worker of test/dies.test.ts died');
});

it('a file that fails twice is a failure, for a test, a hook and what cannot be loaded', () => {
  const { last, status, said } = runTests({
    good: GOOD,
    test: "it('fails', () => { expect(1).toBe(2); });",
    hook: "describe('g', () => { beforeAll(() => { throw new Error('x'); }); it('a', () => {}); });",
    unloadable: "throw new Error('x');",
  });
  expect({ last, status }).toEqual({ last: '2 passed, 3 failed', status: 1 });
  expect(said).not.toContain('passed alone');
});

it('a worker that dies twice, and what a test leaves behind, are failures', () => {
  expect(runTests({ good: GOOD, dies: "it('dies', () => die());" })).toMatchObject({
    last: '2 passed, 1 failed',
    status: 1,
    said: expect.stringContaining('died again'),
  });
  rmSync(join(project, 'test/dies.test.ts'));
  const leaves = "it('leaves', () => { mkdtempSync(join(tmpdir(), 'left-')); });";
  expect(runTests({ good: GOOD, leaves })).toMatchObject({
    last: '3 passed, 1 failed',
    said: expect.stringContaining('left behind: '),
  });
});
