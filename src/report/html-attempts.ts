import { bootVerdict, formatSeconds } from '../text/format.js';
import { type Markup, markup } from '../text/markup.js';
import type { Attempt, AttemptEvidence } from './attempts.js';
import { bootDetails } from './html-boot.js';
import type { Report } from './report.js';

/**
 * Returns the attempts of a VM whose first plan was not the last: what each changed, how its boot ended, and the
 * evidence of all but the last, which the boot test's own section has.
 */
export function attemptsSection(report: Report, evidence: readonly AttemptEvidence[]): Markup | null {
  const { first_attempt: first, remedies } = report;
  if (first === null) return null;
  const all: Attempt[] = [{ reason: null, options: {}, error: null, ...first }, ...remedies];
  return markup`<h2>Attempts <small>${all.length} plans were tried, the last one counts</small></h2>
${all.map((attempt, index) => attemptCard(attempt, index + 1, evidence[index]))}`;
}

function attemptCard(attempt: Attempt, number: number, evidence: AttemptEvidence | undefined): Markup {
  const { reason, options, boot, error } = attempt;
  const changed = Object.entries(options).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return markup`<div class="card"><p><b>Attempt ${number}: ${outcome(attempt)}</b></p>
<p>${reason ?? 'The plan that the job’s own options lead to.'}</p>
${changed.length === 0 ? null : markup`<p class="mono">${changed.join(', ')}</p>`}
${error === null ? null : markup`<p><code>${error.code}</code> ${error.message}</p>`}
${boot === null || evidence === undefined ? null : bootDetails(boot, evidence.screens)}</div>
${evidence === undefined || evidence.serialTail === '' ? null : markup`<details><summary>Attempt ${number}: serial console, last lines</summary><pre class="log">${evidence.serialTail}</pre></details>`}`;
}

function outcome({ boot, error }: Attempt): string {
  if (boot === null) return error === null ? 'not booted' : 'failed before its boot';
  return `${bootVerdict(boot)}, level ${boot.level}, ${formatSeconds(boot.seconds)}`;
}
