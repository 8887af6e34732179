import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '#hyper2kvm/tools/run.js';
import { MADE_FILE, type Made } from './cache.ts';
import { endProcesses, markedProcesses } from './leaks.ts';
import { OUTCOME_FILE, type Outcome, outcomeSchema } from './test-reporter.ts';

/**
 * The main of `npm test`: runs vitest, and builds the guests beside it where all tests run; then looks for
 * processes and temporary files that the tests left behind: each is a failure. A file whose worker process
 * died is run once more. So is a file with real programs in which a test failed, alone then, since a limit of
 * time can be missed while three files share two cores; of more than three such files none is, for then the
 * product is broken. Both are said; what fails again is a failure. At the end it prints what took longest, and
 * what was built. The last line is `N passed, N failed`; the exit code is 0 only when something passed and
 * nothing failed, so a crash or an empty run is a failure.
 */
const MARK = 'HYPER2KVM_TEST_RUN';
const SHOWN_FILES = 10;
const MOST_REPEATED = 3;

const made = await mkdtemp(join(tmpdir(), 'h2k-made-'));
process.env[MADE_FILE] = join(made, 'made.jsonl');
const { passed, failed } = await runAll(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error);
  return { passed: 0, failed: 1 };
});
await removeOurs(made);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function runAll(args: string[]): Promise<{ passed: number; failed: number }> {
  const started = performance.now();
  const stopped = new AbortController();
  // A test that comes to a guest before the builder does builds it itself, or fails with the reason; so an
  // error here is only told.
  const built =
    args.length === 0 && existsSync('test/guests')
      ? buildGuests(stopped.signal).catch(console.error)
      : undefined;
  try {
    return await runTests(args);
  } finally {
    stopped.abort();
    await built;
    await printMade();
    console.log(`The whole run took ${Math.round((performance.now() - started) / 1000)} s.`);
  }
}

async function buildGuests(signal: AbortSignal): Promise<void> {
  const builder = fileURLToPath(new URL('build-guests.ts', import.meta.url));
  await run(process.execPath, [builder], { timeoutSeconds: 3600, signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

async function printMade(): Promise<void> {
  const text = await readFile(process.env[MADE_FILE]!, 'utf8').catch(() => '');
  const entries = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Made);
  console.log(entries.length === 0 ? '\nNothing had to be built.' : '\nBuilt and cached for the next run:');
  for (const { name, seconds } of entries) console.log(`${seconds.toFixed(0).padStart(6)} s  ${name}`);
}

function printSlowest(files: Outcome['files']): void {
  console.log('\nThe slowest test files:');
  const slowest = files.toSorted((a, b) => b.seconds - a.seconds).slice(0, SHOWN_FILES);
  for (const { file, seconds } of slowest) console.log(`${seconds.toFixed(0).padStart(6)} s  ${file}`);
}

async function runTests(args: string[]): Promise<{ passed: number; failed: number }> {
  const first = await vitest(args);
  printSlowest(first.files);
  const { unfinished } = first;
  // Vitest itself did not come to run anything.
  if (first.passed === 0) return tally(first);
  for (const { file, test } of unfinished)
    console.error(`the worker of ${file} died ${where(test)}; running the file once more`);
  const failed = args.length === 0 ? worthAnotherRun(first) : [];
  for (const { file, names } of failed)
    console.error(
      `${file} failed beside other files (${names.join('; ') || 'outside of its tests'}); running it once more, alone`,
    );
  const repeated = [...unfinished, ...failed];
  if (repeated.length === 0) return tally(first);
  const again = await vitest(['--no-file-parallelism', ...repeated.map(({ file }) => file)]);
  for (const { file, test } of again.unfinished)
    console.error(`the worker of ${file} died again ${where(test)}`);
  const diedAgain = new Set(again.unfinished.map(({ file }) => file));
  for (const { file } of failed)
    if (!diedAgain.has(file) && again.files.some((one) => one.file === file && one.failed === 0))
      console.error(`${file} failed beside other files, and passed alone`);
  return tally({
    passed: first.passed - sum(repeated, 'passed') + again.passed,
    failed: first.failed - sum(failed, 'failed') + again.failed + again.unfinished.length,
    errors: first.errors + again.errors,
  });
}

function sum<Key extends string>(counts: readonly Record<Key, number>[], key: Key): number {
  return counts.reduce((total, one) => total + one[key], 0);
}

/** Returns the files that failed, unless they are so many that the product is broken. */
function worthAnotherRun({ files, unfinished }: Outcome): Outcome['files'] {
  const died = new Set(unfinished.map(({ file }) => file));
  const failed = files.filter(
    ({ file, failed }) => failed > 0 && !died.has(file) && !file.startsWith('test/unit/'),
  );
  return failed.length > MOST_REPEATED ? [] : failed;
}

function where(test: string | null): string {
  return test === null ? 'outside of a test' : `before the test "${test}" had a result`;
}

/** Nothing that passed, and an error outside of all tests, are a failure too. */
function tally({ passed, failed, errors }: Pick<Outcome, 'passed' | 'failed' | 'errors'>): {
  passed: number;
  failed: number;
} {
  return { passed, failed: failed + errors || (passed === 0 ? 1 : 0) };
}

/**
 * One run of vitest. What it left behind counts among the errors, unless a worker died: that had no time to
 * clean up.
 */
async function vitest(args: string[]): Promise<Outcome> {
  const mark = `${process.pid}-${Date.now()}`;
  const outcomes = await mkdtemp(join(tmpdir(), 'h2k-outcome-'));
  // Short: the path of a unix socket in it must stay under 108 bytes.
  const scratch = await mkdtemp(join(tmpdir(), 'h2k-'));
  // As /tmp itself: some tests start daemons of other users.
  await chmod(scratch, 0o1777);
  const file = join(outcomes, 'outcome.json');
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts'];
  const reporters = [
    '--reporter=default',
    `--reporter=${new URL('test-reporter.ts', import.meta.url).pathname}`,
  ];
  try {
    const { code } = await run(process.execPath, [...vitest, ...reporters, ...args], {
      inherit: true,
      timeoutSeconds: 6 * 3600,
      okCodes: Array.from({ length: 256 }, (_, index) => index),
      env: { [MARK]: mark, [OUTCOME_FILE]: file, TMPDIR: scratch, LC_ALL: process.env.LC_ALL ?? 'C.UTF-8' },
    });
    const outcome = outcomeSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    const leaks = await findLeaks(mark, scratch);
    for (const leak of leaks) console.error(`left behind: ${leak}`);
    if (outcome.unfinished.length === 0) outcome.errors += leaks.length;
    // Vitest knows of a failure that the reporter does not.
    if (code !== 0 && outcome.failed + outcome.errors + outcome.unfinished.length === 0) outcome.errors = 1;
    return outcome;
  } catch (error) {
    console.error(error);
    return { passed: 0, failed: 1, unfinished: [], errors: 0, files: [] };
  } finally {
    for (const directory of [outcomes, scratch]) await removeOurs(directory);
  }
}

/** What holds it was named as left behind. */
async function removeOurs(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }).catch(console.error);
}

async function findLeaks(mark: string, scratch: string): Promise<string[]> {
  const processes = await markedProcesses(MARK, mark);
  endProcesses(processes);
  const files = (await readdir(scratch)).filter((name) => basename(name) !== 'node-compile-cache');
  return [
    ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
    ...files.map((name) => `${scratch}/${name}`),
  ];
}
