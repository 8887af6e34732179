import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { run } from '../tools/run.js';
import { endProcesses, markedProcesses } from './leaks.js';

/**
 * The main of `npm test`: runs vitest, then looks for processes and temporary files that the tests left behind: each is a failure. The last
 * line is `N passed, N failed`; the exit code is 0 only when something passed and nothing failed, so a crash or an empty run is a failure.
 */
const resultSchema = z.object({
  success: z.boolean(),
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.unknown()) })),
});

const MARK = 'HYPER2KVM_TEST_RUN';
const mark = `${process.pid}-${Date.now()}`;
const outcome = await mkdtemp(join(tmpdir(), 'h2k-outcome-'));
// Short: the path of a unix socket in it must stay under 108 bytes.
const scratch = await mkdtemp(join(tmpdir(), 'h2k-'));
try {
  const code = await vitest(join(outcome, 'result.json'));
  const result = await readResult(join(outcome, 'result.json'));
  const leaks = await findLeaks();
  for (const leak of leaks) console.error(`left behind: ${leak}`);
  let failed = result.failed + leaks.length;
  // vitest failed for a reason of its own: an unhandled rejection, a broken setup, a crash.
  if (failed === 0 && (code !== 0 || result.passed === 0)) failed = 1;
  console.log(`${result.passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  await rm(outcome, { recursive: true, force: true });
  await rm(scratch, { recursive: true, force: true });
}

/** Returns vitest's exit code, 1 when it did not even end by itself. */
async function vitest(resultFile: string): Promise<number> {
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts'];
  const reports = ['--reporter=default', '--reporter=json', `--outputFile.json=${resultFile}`];
  try {
    const { code } = await run(process.execPath, [...args, ...reports, ...process.argv.slice(2)], {
      inherit: true,
      timeoutSeconds: 6 * 3600,
      okCodes: Array.from({ length: 256 }, (_, index) => index),
      env: { [MARK]: mark, TMPDIR: scratch, LC_ALL: process.env.LC_ALL ?? 'C.UTF-8' },
    });
    return code;
  } catch (error) {
    console.error(error);
    return 1;
  }
}

/** A test file that cannot be loaded has no test that failed: it counts as one. */
async function readResult(file: string): Promise<{ passed: number; failed: number }> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return { passed: 0, failed: 1 };
  const result = resultSchema.parse(JSON.parse(text));
  const broken = result.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  return { passed: result.numPassedTests, failed: result.numFailedTests + broken.length };
}

async function findLeaks(): Promise<string[]> {
  const processes = await markedProcesses(MARK, mark);
  endProcesses(processes);
  const files = (await readdir(scratch)).filter((name) => basename(name) !== 'node-compile-cache');
  return [
    ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
    ...files.map((name) => `${scratch}/${name}`),
  ];
}
