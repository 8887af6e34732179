import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { run } from '#hyper2kvm/tools/run.js';
import { endProcesses, markedProcesses } from './leaks.ts';
import { type CatchingTest, type Mutant, mutate } from './mutant-list.ts';

/** A copy of the repository in which things may be broken. */
export interface ScratchRepository {
  directory: string;
  remove(): Promise<void>;
}

/** What a run of tests came to. */
export interface TestRun {
  passed: number;
  /** The tests that failed, or what else was wrong. Empty: all is well. */
  failures: { test: string; message: string }[];
}

const MARK = 'HYPER2KVM_TEST_RUN';
const LONGEST_SECONDS = 1800;

/**
 * Copies what git knows or would take of the repository, its `dist` and its `node_modules`: by hard links
 * where the file system can. A container that gets the copy would not find what a symbolic link leads to.
 */
export async function copyRepository(repository: string): Promise<ScratchRepository> {
  const directory = await mkdtemp(join(tmpdir(), 'h2k-mutants-'));
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    // Services that run from the copy have users of their own.
    await chmod(directory, (await stat(repository)).mode);
    const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    const { stdout } = await run('git', list, { cwd: repository });
    // Removed and not committed yet: git still lists it.
    const files = stdout
      .toString()
      .split('\0')
      .filter((name) => name !== '' && existsSync(join(repository, name)));
    await run('cp', ['--archive', '--parents', '--', ...files, directory], { cwd: repository });
    await run('cp', ['--archive', join(repository, 'dist'), directory]);
    await run('cp', ['--archive', '--link', join(repository, 'node_modules'), directory]).catch(async () => {
      await rm(join(directory, 'node_modules'), { recursive: true, force: true });
      await run('cp', ['--archive', join(repository, 'node_modules'), directory]);
    });
    return { directory, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/**
 * Calls `use` while the breakage is in the copy and in its `dist`. Returns null where it does not compile.
 */
export async function withMutant<T>(
  { directory }: ScratchRepository,
  mutant: Mutant,
  use: () => Promise<T>,
): Promise<T | null> {
  const file = join(directory, mutant.file);
  const original = await readFile(file, 'utf8');
  await writeFile(file, mutate(original, mutant));
  try {
    return (await compile(directory)) ? await use() : null;
  } finally {
    await writeFile(file, original);
  }
}

/** Only what changed since the last call is compiled again. */
async function compile(directory: string): Promise<boolean> {
  const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'];
  const incremental = ['--incremental', '--tsBuildInfoFile', 'node_modules/.mutants.tsbuildinfo'];
  const { code } = await run(process.execPath, [...tsc, ...incremental], {
    cwd: directory,
    okCodes: [0, 1, 2],
  });
  return code === 0;
}

const vitestReport = z.object({
  numPassedTests: z.int(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().default(''),
      assertionResults: z.array(
        z.object({
          status: z.string(),
          fullName: z.string(),
          failureMessages: z.array(z.string()).default([]),
        }),
      ),
    }),
  ),
});

/**
 * Runs these tests in the copy until one fails; each is of whichever project has its file. Processes and
 * temporary files that they leave behind are failures too, as in `npm test`. Rejects with `tool.timeout`
 * where they do not end.
 */
export async function runTests(
  { directory }: ScratchRepository,
  tests: readonly CatchingTest[],
): Promise<TestRun> {
  const mark = `${process.pid}-${Date.now()}`;
  const outcomes = await mkdtemp(join(tmpdir(), 'h2k-outcome-'));
  // Short: the path of a unix socket in it must stay under 108 bytes.
  const scratch = await mkdtemp(join(tmpdir(), 'h2k-'));
  // As in `npm test`: some tests start daemons of other users.
  await chmod(scratch, 0o1777);
  const report = join(outcomes, 'report.json');
  const [{ only } = {}] = tests;
  const args = [
    ...['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts', '--bail', '1'],
    ...['--reporter', 'json', '--outputFile', report],
    ...(only === undefined ? [] : ['-t', only]),
    ...tests.map((test) => test.file),
  ];
  try {
    const { code, stderr } = await run(process.execPath, args, {
      cwd: directory,
      timeoutSeconds: LONGEST_SECONDS,
      okCodes: Array.from({ length: 256 }, (_, index) => index),
      env: { [MARK]: mark, TMPDIR: scratch, LC_ALL: 'C.UTF-8' },
    });
    const { numPassedTests, testResults } = vitestReport.parse(JSON.parse(await readFile(report, 'utf8')));
    const failures = testResults.flatMap(({ name, status, message, assertionResults }) => {
      const failed = assertionResults
        .filter((test) => test.status === 'failed')
        .map(({ fullName, failureMessages }) => ({ test: fullName, message: failureMessages.join('\n') }));
      const itself = { test: `${name.slice(directory.length + 1)} itself`, message };
      return failed.length > 0 || status !== 'failed' ? failed : [itself];
    });
    if (code !== 0 && failures.length === 0)
      failures.push({ test: 'an error outside of all tests', message: stderr });
    const processes = await markedProcesses(MARK, mark);
    endProcesses(processes);
    const left = (await readdir(scratch)).filter((name) => name !== 'node-compile-cache');
    const leaks = [...processes.map(({ command }) => command), ...left];
    if (failures.length === 0 && leaks.length > 0)
      failures.push({ test: 'what it left behind', message: leaks.join('\n') });
    return { passed: numPassedTests, failures };
  } finally {
    endProcesses(await markedProcesses(MARK, mark));
    for (const path of [outcomes, scratch])
      await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
