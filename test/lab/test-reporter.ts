import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, SerializedError, TestModule, TestSpecification } from 'vitest/node';
import { z } from 'zod';

/** What a vitest run came to. */
export const outcomeSchema = z.object({
  passed: z.int(),
  failed: z.int(),
  /**
   * Files whose worker process died before their end, with the first test that has no result; null where
   * there is none.
   */
  unfinished: z.array(z.object({ file: z.string(), passed: z.int(), test: z.string().nullable() })),
  /**
   * Errors outside of all tests, such as an unhandled rejection; a worker's death is none where its file is
   * unfinished.
   */
  errors: z.int(),
  /** Every file with its results, and the seconds that its tests and hooks took. */
  files: z.array(
    z.object({
      file: z.string(),
      seconds: z.number(),
      passed: z.int(),
      failed: z.int(),
      names: z.array(z.string()),
    }),
  ),
});
export type Outcome = z.infer<typeof outcomeSchema>;

/** Where the reporter writes its outcome, as JSON. */
export const OUTCOME_FILE = 'HYPER2KVM_TEST_OUTCOME';

/** For vitest's `--reporter`. */
export default class OutcomeReporter implements Reporter {
  #files: string[] = [];

  /** Vitest tells nothing at the end of a file whose worker died before it was loaded. */
  onTestRunStart(specifications: readonly TestSpecification[]): void {
    this.#files = specifications.map(({ moduleId }) => moduleId);
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const outcome: Outcome = { passed: 0, failed: 0, unfinished: [], errors: 0, files: [] };
    const byFile = new Map(modules.map((module) => [module.moduleId, module]));
    for (const moduleId of new Set([...this.#files, ...byFile.keys()])) {
      const module = byFile.get(moduleId);
      const passed = module === undefined ? 0 : count(module, 'passed');
      const file = relative(process.cwd(), moduleId);
      const failed = module === undefined ? 0 : failures(module);
      if (module !== undefined)
        outcome.files.push({ file, seconds: secondsOf(module), passed, failed, names: failedTests(module) });
      outcome.passed += passed;
      outcome.failed += failed;
      if (module === undefined || !isFinished(module))
        outcome.unfinished.push({
          file,
          passed,
          test: pendingTest(module),
        });
    }
    const deaths = errors.filter(({ message }) => isDeath(message)).length;
    outcome.errors = errors.length - Math.min(deaths, outcome.unfinished.length);
    writeFileSync(process.env[OUTCOME_FILE]!, JSON.stringify(outcome));
  }
}

function secondsOf(module: TestModule): number {
  const { collectDuration, duration } = module.diagnostic();
  return (collectDuration + duration) / 1000;
}

function count(module: TestModule, state: 'passed' | 'failed'): number {
  return [...module.children.allTests(state)].length;
}

/**
 * Tests that failed, and errors of the file and of its groups: one that cannot be loaded, a hook whose tests
 * are skipped for it.
 */
function failures(module: TestModule): number {
  const inGroups = [...module.children.allSuites()].reduce((sum, suite) => sum + suite.errors().length, 0);
  const told = count(module, 'failed') + module.errors().length + inGroups;
  return told === 0 && isFinished(module) && !module.ok() ? 1 : told;
}

function failedTests(module: TestModule): string[] {
  return Array.from(module.children.allTests('failed'), ({ fullName }) => fullName);
}

function isFinished(module: TestModule): boolean {
  return ['passed', 'failed', 'skipped'].includes(module.state()) && pendingTest(module) === null;
}

function pendingTest(module: TestModule | undefined): string | null {
  const [first] = module?.children.allTests('pending') ?? [];
  return first?.fullName ?? null;
}

const isDeath = (message: string) => /^\[vitest-pool\]: Worker \w+ emitted error/.test(message);
