import { basename } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Roughly the seconds of the files that take longest, on two cores without KVM. The longest begin first, so that none of them runs alone at the end. `npm test`
 * prints what its files took: a new long one belongs in here.
 */
const SECONDS: Readonly<Record<string, number>> = {
  'crash.test.ts': 300,
};

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const seconds = ({ moduleId }: TestSpecification) => SECONDS[basename(moduleId)] ?? 0;
    return (await super.sort(files)).toSorted((a, b) => seconds(b) - seconds(a));
  }
}
