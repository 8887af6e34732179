import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';
import { z } from 'zod';

/** What a vitest run came to. */
export const outcomeSchema = z.object({
  passed: z.int(),
  failed: z.int(),
  /** Files whose worker process died before their last test had ended, with the tests that it was in. */
  unfinished: z.array(z.object({ file: z.string(), passed: z.int(), running: z.array(z.string()) })),
  /** Errors outside of all tests, such as an unhandled rejection; a worker's death is none. */
  errors: z.int(),
});
export type Outcome = z.infer<typeof outcomeSchema>;

/** Where the reporter writes its outcome, as JSON. */
export const OUTCOME_FILE = 'HYPER2KVM_TEST_OUTCOME';

/** For vitest's `--reporter`. */
export default class OutcomeReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const outcome: Outcome = { passed: 0, failed: 0, unfinished: [], errors: 0 };
    for (const module of modules) {
      const passed = count(module, 'passed');
      const running = [...module.children.allTests('pending')].map(({ fullName }) => fullName);
      outcome.passed += passed;
      // A file that cannot be loaded has no test that failed: it counts as one.
      outcome.failed += count(module, 'failed') + module.errors().length;
      const isFinished = ['passed', 'failed', 'skipped'].includes(module.state()) && running.length === 0;
      const file = relative(process.cwd(), module.moduleId);
      if (!isFinished) outcome.unfinished.push({ file, passed, running });
    }
    outcome.errors = errors.filter(({ message }) => !isDeath(message)).length;
    writeFileSync(process.env[OUTCOME_FILE]!, JSON.stringify(outcome));
  }
}

function count(module: TestModule, state: 'passed' | 'failed'): number {
  return [...module.children.allTests(state)].length;
}

const isDeath = (message: string) => /^\[vitest-pool\]: Worker \w+ emitted error/.test(message);
