import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { errorRecord } from '#hyper2kvm/errors/error.js';
import { type CatchingTest, isUnit, MUTANTS, type Mutant } from './mutant-list.ts';
import { copyRepository, runTests, type ScratchRepository, withMutant } from './mutant-run.ts';

/**
 * `npm run test:mutants [-- [--list] [--unit] [NAME…]]`: breaks the product in one place after the other, in
 * a copy of the repository, and says which test file catches it. `--unit`: only what a unit test should
 * catch. The tests run unbroken first: one that fails anyway catches nothing. Exit code 1 when a breakage
 * was not caught.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean', default: false }, unit: { type: 'boolean', default: false } },
});
const names = new Set(positionals);
const unknown = [...names].filter((name) => !MUTANTS.some((mutant) => mutant.name === name));
if (unknown.length > 0) throw new RangeError(`no mutant is called ${unknown.join(', ')}: see --list`);
const chosen = MUTANTS.filter(({ name }) => names.size === 0 || names.has(name)).filter(
  ({ tests }) => !values.unit || tests.some(isUnit),
);

const width = Math.max(...MUTANTS.map(({ name }) => name.length));
if (values.list) for (const mutant of chosen) console.log(`${mutant.name.padEnd(width)}  ${mutant.breaks}`);
else if (!(await runAll())) process.exitCode = 1;

/** False where one was not caught. */
async function runAll(): Promise<boolean> {
  const repository = fileURLToPath(new URL('../..', import.meta.url));
  const scratch = await copyRepository(repository);
  const lines: string[] = [];
  let caught = 0;
  try {
    const faulty = await testsThatFailAnyway(scratch);
    for (const mutant of chosen) {
      const started = performance.now();
      const result = await tryMutant(scratch, mutant, faulty);
      const seconds = Math.round((performance.now() - started) / 1000);
      if (result.startsWith('caught')) caught += 1;
      lines.push(`${mutant.name.padEnd(width)}  ${`${seconds} s`.padStart(6)}  ${result}`);
      console.error(lines.at(-1));
    }
  } finally {
    await scratch.remove();
  }
  console.log([...lines, `${caught} of ${chosen.length} caught`].join('\n'));
  return caught === chosen.length;
}

function testsOf({ tests }: Mutant): readonly CatchingTest[] {
  return tests.filter((test) => !values.unit || isUnit(test));
}

function keyOf({ file, only = '' }: CatchingTest): string {
  return `${file} ${only}`;
}

/** Returns the keys of the chosen mutants' tests that fail, or find nothing to run, without any breakage. */
async function testsThatFailAnyway(scratch: ScratchRepository): Promise<Set<string>> {
  const tests = new Map(chosen.flatMap(testsOf).map((test) => [keyOf(test), test]));
  const units = [...tests.values()].filter(isUnit);
  const others = [...tests.values()].filter((test) => !isUnit(test));
  const faulty = new Set<string>();
  const all = units.length === 0 ? { passed: 1, failures: [] } : await runTests(scratch, units);
  // One by one only where something is wrong: a start of vitest costs seconds.
  const doubtful = all.failures.length === 0 && all.passed > 0 ? others : [...units, ...others];
  for (const test of doubtful) {
    const { passed, failures } = await runTests(scratch, [test]);
    if (passed > 0 && failures.length === 0) continue;
    faulty.add(keyOf(test));
    const [failure] = failures;
    console.error(
      `fails without any breakage: ${keyOf(test)}: ${failure?.message ?? 'there is no such test'}`,
    );
  }
  return faulty;
}

async function tryMutant(
  scratch: ScratchRepository,
  mutant: Mutant,
  faulty: ReadonlySet<string>,
): Promise<string> {
  const tests = testsOf(mutant).filter((test) => !faulty.has(keyOf(test)));
  if (tests.length === 0) return 'refused: its tests fail without it';
  try {
    const result = await withMutant(scratch, mutant, async () => {
      for (const test of tests) {
        const [failure] = (await runTests(scratch, [test])).failures;
        if (failure !== undefined) return `caught by ${test.file}: ${failure.test}`;
      }
      return 'NOT CAUGHT';
    });
    return result ?? 'broken: it does not compile';
  } catch (error) {
    return `broken: ${errorRecord(error).message}`;
  }
}
