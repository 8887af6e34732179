import { type Findings, findingsText } from './check.ts';

/** What a campaign counted. Everything from `losses` on must stay 0. */
export interface Counts {
  cases: number;
  kills: number;
  errors: number;
  powerLosses: number;
  drops: number;
  losses: number;
  duplicates: number;
  orphans: number;
  others: number;
}

export class Tally {
  readonly #say: (text: string) => void;

  /** `say` is told each finding at once. */
  constructor(say: (text: string) => void = (text) => process.stdout.write(text)) {
    this.#say = say;
  }

  readonly counts: Counts = {
    cases: 0,
    kills: 0,
    errors: 0,
    powerLosses: 0,
    drops: 0,
    losses: 0,
    duplicates: 0,
    orphans: 0,
    others: 0,
  };

  /** `name` is what `--case` repeats. A finding is told at once, with the end of the daemons' log. */
  add(
    name: string,
    done: {
      findings: Findings;
      drops: number;
      kills?: number;
      errors?: number;
      powerLosses?: number;
      log: string;
    },
  ): void {
    const { findings, drops, kills = 0, errors = 0, powerLosses = 0, log } = done;
    this.counts.cases += 1;
    this.counts.drops += drops;
    this.counts.kills += kills;
    this.counts.errors += errors;
    this.counts.powerLosses += powerLosses;
    for (const kind of ['losses', 'duplicates', 'orphans', 'others'] as const)
      this.counts[kind] += findings[kind].length;
    const text = findingsText(findings);
    if (text !== '') this.#say(`FAILED ${name}\n${text}\n${log.slice(-6000)}\n`);
  }

  get failed(): boolean {
    const { losses, duplicates, orphans, others } = this.counts;
    return losses + duplicates + orphans + others > 0;
  }
}
